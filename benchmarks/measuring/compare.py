"""How a figure is taken: two things in turn, round by round, so that a machine whose speed drifts slows both; medians and ratios.

Each in a process of its own: an interpreter that has run other things is tuned to them, and no user's has run them all. Seconds are of
processor time: what others on the machine do lengthens them little.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median, quantiles
from typing import Final, ParamSpec, TypeVar

__all__ = ["Comparison", "apart", "clock", "clock_of_children", "compare", "timed"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


clock: Final = time.process_time
"""Seconds of processor time that this process has used."""


def clock_of_children() -> float:
    """Seconds of processor time that processes started by this one have used, as far as they have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True, slots=True)
class Comparison:
    """Seconds per operation of ours and theirs, each round's, and the median of the rounds' ratios."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median over the rounds of ours / theirs."""
        return median(self.ratios)

    @property
    def ratios(self) -> list[float]:
        """Ours / theirs of every round."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    def as_json(self) -> dict[str, object]:
        """Medians in microseconds, and the ratio with its quartiles."""
        low, middle, high = quantiles(self.ratios, n=4)
        return {
            "ours_us": round(median(self.ours) * 1e6, 3),
            "theirs_us": round(median(self.theirs) * 1e6, 3),
            "ratio": round(middle, 3),
            "ratio_quartiles": [round(low, 3), round(high, 3)],
            "rounds": len(self.ours),
        }


def apart(measure: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
    """What ``measure`` returns, called in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, *arguments, **options).result()


def compare(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> Comparison:
    """Call both in turn, ``rounds`` times after one that does not count. Each returns its seconds per operation."""
    with _no_garbage_collection():
        pairs = [(ours(), theirs()) for _ in range(rounds + 1)][1:]
    return Comparison(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def timed(work: Callable[[], object], operations: int) -> float:
    """Seconds per operation of ``work``, which makes ``operations`` of them."""
    began = clock()
    work()
    return (clock() - began) / operations


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
