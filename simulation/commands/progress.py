"""How far a long run is, and how long it will take: a bar on a terminal, plain lines anywhere else. Both go to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ..analysis.findings import seconds_text

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
    """Print a line for each tenth."""
    done, begun = 0, time.monotonic()

    def step() -> None:
        nonlocal done
        done += 1
        if done * LINES // total > (done - 1) * LINES // total:
            left = seconds_text((time.monotonic() - begun) * (total - done) / done)
            more = f", about {left} left" if done < total else ""
            print(f"{done * 100 // total:3d} %  {done} of {total} {unit}{more}", file=sys.stderr, flush=True)

    return step
