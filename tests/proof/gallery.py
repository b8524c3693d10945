"""The gallery: try every mutant before every layer of the proof, several at a time, and show the results."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from textwrap import shorten
from typing import Any

from . import mutants
from .trials import Exhibit, exhibit

__all__ = ["as_json", "as_table", "in_full", "show"]


def show(names: Sequence[str] = (), *, quick: bool = False, jobs: int = 1) -> list[Exhibit]:
    """The exhibits of these mutants, or of all, in the gallery's order. ``quick``: each only until it is caught.

    With several ``jobs`` in processes of their own. Raises ValueError for an unknown name.
    """
    known = [mutant.name for mutant in mutants.MUTANTS]
    if unknown := set(names) - set(known):
        raise ValueError(f"no mutant is called {', '.join(sorted(unknown))}")
    chosen = [name for name in known if not names or name in names]
    if jobs == 1:
        with _quiet():
            return list(_watched(map(_exhibit, chosen, [quick] * len(chosen)), len(chosen)))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_be_quiet) as processes:
        return list(_watched(processes.map(_exhibit, chosen, [quick] * len(chosen)), len(chosen)))


def _exhibit(name: str, quick: bool) -> Exhibit:
    (mutant,) = (one for one in mutants.MUTANTS if one.name == name)
    return exhibit(mutant, quick=quick)


def _be_quiet() -> None:
    """What a mutant logs and leaves behind is its own fault, and no news."""
    logging.disable()
    sys.unraisablehook = lambda _: None


@contextmanager
def _quiet() -> Iterator[None]:
    """The same, for a while."""
    disabled, hook = logging.root.manager.disable, sys.unraisablehook
    _be_quiet()
    try:
        yield
    finally:
        logging.disable(disabled)
        sys.unraisablehook = hook


def _watched(exhibits: Iterator[Exhibit], total: int) -> Iterator[Exhibit]:
    """Tell on a terminal how far it has come."""
    terminal = sys.stderr.isatty()
    for number, one in enumerate(exhibits, 1):
        if terminal:
            print(f"\r{number} of {total}: {one.name}", end="\033[K", file=sys.stderr)
        yield one
    if terminal:
        print("\r", end="\033[K", file=sys.stderr)


def as_table(exhibits: Sequence[Exhibit]) -> str:
    """A line for each mutant, and how many survive."""
    lines = [f"{'mutant':<25}{'row':<14}{'caught by':<16}{'after':>11}{'seconds':>9}  what; not caught by"]
    for one in exhibits:
        first = one.caught
        layer, after = ("-", "") if first is None else (first.layer, f"{first.size} {first.unit}")
        seconds = sum(trial.seconds for trial in one.trials) if first is None else first.seconds
        what = "SURVIVES" if first is None else shorten(str(first.what), 100)
        missed = f"; not by: {', '.join(one.missed_by)}" if one.missed_by else ""
        lines.append(f"{one.name:<25}{one.row:<14}{layer:<16}{after:>11}{seconds:>9.2f}  {what}{missed}")
    killed = sum(one.caught is not None for one in exhibits)
    return "\n".join([*lines, "", f"{killed} of {len(exhibits)} killed"])


def in_full(exhibits: Sequence[Exhibit]) -> str:
    """Every counterexample that was found, with what reproduces it."""
    return "\n".join(
        f"\n{one.name} ({one.row}), by {trial.layer} after {trial.size} {trial.unit}: {trial.what}\n\n{trial.counterexample}"
        for one in exhibits
        for trial in one.trials
        if trial.what is not None
    )


def as_json(exhibits: Sequence[Exhibit]) -> dict[str, Any]:
    """Values that JSON knows."""
    return {one.name: asdict(one) | {"killed": one.caught is not None} for one in exhibits}
