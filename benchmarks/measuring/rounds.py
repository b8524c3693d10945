"""Rounds of several contenders in turn, so that a machine whose speed drifts slows them all. Each is a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from .environments import ROOT, UnavailableError, environment
from .results import spread

__all__ = ["Side", "against", "alternate", "once", "packages_of"]


@dataclass(frozen=True)
class Side:
    """``target`` is ``module:function``, run in ``environment`` (None: our own)."""

    target: str
    arguments: tuple[str | int, ...] = ()
    environment: str | None = None


def alternate(sides: Mapping[str, Side], rounds: int) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """The figures of each side, round by round after one that does not count, and why which sides were skipped."""
    figures: dict[str, list[Any]] = {}
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        workers = {}
        for name, side in sides.items():
            try:
                workers[name] = stack.enter_context(_Worker(side))
            except (UnavailableError, RuntimeError) as error:
                skipped[name] = str(error)
        for number in range(rounds + 1):
            for name, worker in workers.items():
                figure = worker.round()
                if number:
                    figures.setdefault(name, []).append(figure)
    return figures, skipped


def once(side: Side) -> Any:
    """The figure of one round in a new process. Raises UnavailableError, RuntimeError."""
    with _Worker(side) as worker:
        return worker.round()


def against(figures: Mapping[str, Sequence[float]], base: str, unit: float = 1e6) -> dict[str, dict[str, Any]]:
    """Each side's spread in ``unit`` parts of a second, and of its ratios to ``base``, round by round."""
    return {
        name: {
            "time": spread([value * unit for value in values]),
            "ratio": spread([a / b for a, b in zip(values, figures[base], strict=True)]),
        }
        for name, values in sorted(figures.items(), key=lambda side: median(side[1]))
    }


def packages_of(sides: Mapping[str, Side]) -> list[str]:
    """What is installed in the environments of ``sides``, as far as they could be made."""
    found: dict[str, None] = {}
    for side in sides.values():
        try:
            found |= dict.fromkeys(environment(side.environment).packages)
        except UnavailableError:
            continue
    return list(found)


class _Worker:
    """A process that makes rounds when it is told to. Raises RuntimeError with what it wrote where it ends by itself."""

    def __init__(self, side: Side) -> None:
        command = [str(environment(side.environment).python), "-m", "benchmarks.measuring.worker", side.target]
        self._process = subprocess.Popen(
            [*command, *map(str, side.arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._next_line()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def round(self) -> Any:
        """Make one."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return json.loads(self._next_line())

    def _next_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            error = (self._process.communicate()[1].strip().splitlines() or ["it wrote nothing"])[-1]
            raise RuntimeError(f"the process ended: {error}")
        return line
