"""trio's scheduler, taken over: the only file of the project that touches trio's private parts.

trio runs the tasks that are ready in batches, and draws the order of a batch from a random object of its own. :func:`chosen_by` puts an
object in its place that runs one task and puts the others back, so that the chooser decides every single step. What else would
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

try:
    from trio._core import _run
except ImportError:  # a trio that has it elsewhere: nothing can be controlled
    _run = None  # type: ignore[assignment]  # whether it is there is asked before it is used

__all__ = ["Chooser", "chosen_by", "interrupt", "is_ready", "message", "reseeded", "shuffled_by"]

Chooser: TypeAlias = Callable[[list[trio.lowlevel.Task]], trio.lowlevel.Task]
"""Returns one of the tasks that are ready, at least one and in the order in which they were made. What it raises ends the run."""

_INTERNALS: Final[dict[str, Any]] = {} if _run is None else vars(_run)
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
def shuffled_by(seed: int | None) -> Iterator[None]:
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

    if getattr(task, "_abort_func", None) is not None:
        task._attempt_abort(throw)
        return True
    if isinstance(message(task), Outcome):
        task._next_send = Error(error)
        return True
    return False


def is_ready(task: trio.lowlevel.Task) -> bool:
    """Return whether ``task``, which is not the one that is running, will go on as soon as it is its turn."""
    return getattr(task, "_next_send_fn", None) is not None


def message(task: trio.lowlevel.Task) -> object:
    """Return what a task that is ready will go on with: an ``outcome.Outcome``, or None at its very beginning."""
    return getattr(task, "_next_send", None)


# ---- what is put in the place of trio's own ----


@contextmanager
def _taken_over(order: Callable[[list[trio.lowlevel.Task]], None]) -> Iterator[None]:
    """Put objects of ours in the place of trio's own; whatever happens, put its own back. Raises RuntimeError where it has others."""
    if not _one_at_a_time.acquire(blocking=False):
        raise RuntimeError("one run at a time can have its schedule controlled, in one thread of the process")
    try:
        hashed = _hashed_types()
        before = {name: _INTERNALS[name] for name in (_RANDOM, _SORTED)}
    except (AttributeError, KeyError) as error:
        _one_at_a_time.release()
        raise RuntimeError(f"this trio has no {error}") from error
    here = threading.get_ident()
    known: _Numbered = {}
    numbers = count()
    try:
        _INTERNALS[_RANDOM], _INTERNALS[_SORTED] = _Orderly(order, here, before[_RANDOM]), True
        _INTERNALS["id"] = _numbering(known, numbers, here, id)
        number_or_hash = _numbering(known, numbers, here, object.__hash__)
        for kind in hashed:
            setattr(kind, "__hash__", number_or_hash)  # noqa: B010  # a type checker would refuse the assignment
        yield
    finally:
        _INTERNALS.update(before)
        _INTERNALS.pop("id", None)
        for kind in hashed:
            if "__hash__" in vars(kind):
                delattr(kind, "__hash__")
        _one_at_a_time.release()


def _hashed_types() -> tuple[type, ...]:
    """trio's types whose hashes decide an order. Raises AttributeError."""
    return (_run.Task, _run.CancelStatus)


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
