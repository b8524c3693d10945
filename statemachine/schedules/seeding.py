"""Seed the runs of any trio: the same seed gives the same order of tasks. A warning says where that cannot be promised."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from .selftest import why_not
from .switch import reseeded, shuffled_by

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed the order of tasks of every ``trio.run`` that this thread makes in the block. None: the order in which tasks were made.

    A trio that cannot be controlled gets its own random object seeded, and a RuntimeWarning says so: its runs may then differ.
    Raises RuntimeError where a schedule is controlled already.
    """
    reason = why_not()
    if reason is None:
        with shuffled_by(seed):
            yield
        return
    warnings.warn(f"the schedule is only seeded, not controlled: {reason}", RuntimeWarning, stacklevel=3)
    with reseeded(0 if seed is None else seed):
        yield
