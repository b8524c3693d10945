"""trio's scheduler, taken over: the only file of the project that touches trio's private parts.

trio runs the tasks that are ready in batches, and draws the order of a batch from a random object of its own. :func:`chosen_by` puts an
object in its place that runs one task and puts the others back, so that whoever is asked decides every single step. What else would
depend on addresses is numbered instead, in the order of first use: equal deadlines, and the sets that decide
in which order a cancellation reaches several tasks.

No version of trio promises any of this: :mod:`statemachine.schedules.selftest` tries it out before it is relied upon.
"""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, TypeAlias

import trio
from outcome import Error, Outcome
from trio._core import _run

__all__ = ["Chooser", "chosen_by", "interrupt", "is_ready", "message", "reseeded", "seeded"]

Chooser: TypeAlias = Callable[[list[trio.lowlevel.Task]], trio.lowlevel.Task]
"""Returns one of the tasks that are ready, at least one and in the order in which they were made. What it raises ends the run."""

_INTERNALS: Final[dict[str, Any]] = vars(_run)
_RANDOM, _SORTED = "_r", "_ALLOW_DETERMINISTIC_SCHEDULING"
_one_at_a_time: Final = threading.Lock()


@contextmanager
def chosen_by(choose: Chooser) -> Iterator[None]:
    """In here, a ``trio.run`` in this thread runs one task at a time: the one that ``choose`` returns."""

    def order(batch: list[trio.lowlevel.Task]) -> None:
        if batch:
            chosen = choose(batch)
            batch.remove(chosen)
            _run.GLOBAL_RUN_CONTEXT.runner.runq.extend(batch)
            batch[:] = [chosen]

    with _taken_over(order):
        yield


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """In here, a ``trio.run`` in this thread draws the order of every batch from ``seed``. None: in the order in which tasks were made."""
    if seed is None:
        order: Callable[[list[trio.lowlevel.Task]], None] = list.reverse  # a batch is taken from its end
    else:
        order = random.Random(seed).shuffle
    with _taken_over(order):
        yield


@contextmanager
def reseeded(seed: int | str) -> Iterator[None]:
    """In here trio's own random object is seeded. Of use with a trio that is too different for anything else; at worst of no effect."""
    usual = _INTERNALS.get(_RANDOM)
    if not isinstance(usual, random.Random):
        yield
        return
    state = usual.getstate()
    usual.seed(seed)
    try:
        yield
    finally:
        usual.setstate(state)


def interrupt(task: trio.lowlevel.Task, error: BaseException) -> bool:
    """Let ``task`` go on with ``error`` instead of what it waits for, even if shielded. False if it has not begun, or is running."""

    def throw() -> None:
        raise error

    if task._abort_func is not None:
        task._attempt_abort(throw)
        return True
    if isinstance(task._next_send, Outcome):
        task._next_send = Error(error)
        return True
    return False


def is_ready(task: trio.lowlevel.Task) -> bool:
    """Whether ``task``, which is not the one that is running, will go on as soon as it is its turn."""
    return task._next_send_fn is not None


def message(task: trio.lowlevel.Task) -> object:
    """What a task that is ready will go on with: an ``outcome.Outcome``, or None at its very beginning."""
    return task._next_send


# ---- what is put in the place of trio's own ----


@contextmanager
def _taken_over(order: Callable[[list[trio.lowlevel.Task]], None]) -> Iterator[None]:
    if not _one_at_a_time.acquire(blocking=False):
        raise RuntimeError("one run at a time can have its schedule controlled, in one thread of the process")
    here = threading.get_ident()
    hashed: tuple[type, ...] = (_run.Task, _run.CancelStatus)
    known: _Numbered = {}
    numbers = count()
    number_or_address = _numbering(known, numbers, here, id)
    number_or_hash = _numbering(known, numbers, here, object.__hash__)
    before = _INTERNALS[_RANDOM], _INTERNALS[_SORTED]
    try:
        _INTERNALS[_RANDOM], _INTERNALS[_SORTED] = _Orderly(order, here, before[0]), True
        _INTERNALS["id"] = number_or_address
        for kind in hashed:
            setattr(kind, "__hash__", number_or_hash)  # noqa: B010  # a type checker would refuse the assignment
        yield
    finally:
        _INTERNALS[_RANDOM], _INTERNALS[_SORTED] = before
        _INTERNALS.pop("id", None)
        for kind in hashed:
            if "__hash__" in vars(kind):
                delattr(kind, "__hash__")
        _one_at_a_time.release()


class _Orderly:
    """In the place of trio's random object, for the runs of one thread."""

    def __init__(self, order: Callable[[list[trio.lowlevel.Task]], None], thread: int, usual: random.Random) -> None:
        self._order = order
        self._thread = thread
        self._usual = usual

    def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
        order = self._order if threading.get_ident() == self._thread else self._usual.shuffle
        order(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._usual, name)


_Numbered: TypeAlias = dict[int, tuple[int, weakref.ref[object]]]  # by address, which another may have later


def _numbering(
    known: _Numbered, numbers: Iterator[int], thread: int, usual: Callable[[object], int]
) -> Callable[[object], int]:
    """In the place of addresses, for the runs of one thread: 0, 1, 2 ... in the order of first use."""

    def number(thing: object) -> int:
        if threading.get_ident() != thread:
            return usual(thing)
        seen = known.get(id(thing))
        if seen is None or seen[1]() is not thing:
            seen = known[id(thing)] = next(numbers), weakref.ref(thing)
        return seen[0]

    return number
