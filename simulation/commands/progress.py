"""How far a long run is: a bar on a terminal, plain lines anywhere else. Both go to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["progress"]

LINES: Final = 10


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[], None]]:
    """Yields what is to be called after each of ``total`` steps, called ``unit`` (in the plural)."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, unit=f" {unit}", file=sys.stderr) as bar:
            yield lambda: _ignored(bar.update())
    else:
        yield _lines(total, unit)


def _ignored(_: object) -> None:
    """Drop a result that is not needed."""


def _lines(total: int, unit: str) -> Callable[[], None]:
    """A line for each tenth."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if done * LINES // total > (done - 1) * LINES // total:
            print(f"{done * 100 // total:3d} %  {done} of {total} {unit}", file=sys.stderr, flush=True)

    return step
