"""Take over trio's scheduler. This is the only file of the project that uses trio's private parts.

trio runs the ready tasks in batches, and draws the order of a batch from a random object of its own. :func:`chosen_by` replaces that
object by one that runs a single task and puts the others back, so that the chooser decides every step. Two things would still depend on
memory addresses: the order of equal deadlines, and the order in which a cancellation reaches several tasks. So addresses are replaced
by numbers, in the order of first use.

No version of trio promises any of this. :mod:`.selftest` tests it before it is used.
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
    """Make every ``trio.run`` of this thread, in the block, run one task at a time: the one that ``choose`` returns."""

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
    """Make every ``trio.run`` of this thread, in the block, draw the order of a batch from ``seed``. None: the order of creation."""
    if seed is None:
        order: Callable[[list[trio.lowlevel.Task]], None] = list.reverse  # a batch is taken from its end
    else:
        order = random.Random(seed).shuffle
    with _taken_over(order):
        yield


@contextmanager
def reseeded(seed: int | str) -> Iterator[None]:
    """Seed trio's own random object for the block. This is for a trio that is too different for the rest; at worst it does nothing."""
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
    """Make ``task`` raise ``error`` in place of its wait, even if shielded. Return False if it has not begun, or is running."""

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
    """Return whether ``task``, which must not be the running one, is ready to run."""
    return getattr(task, "_next_send_fn", None) is not None


def message(task: trio.lowlevel.Task) -> object:
    """Return the result with which a ready task will continue: an ``outcome.Outcome``, or None before its first step."""
    return getattr(task, "_next_send", None)


# ---- the replacements of trio's own objects ----


@contextmanager
def _taken_over(order: Callable[[list[trio.lowlevel.Task]], None]) -> Iterator[None]:
    """Replace trio's objects for the block, and restore them in any case. Raises RuntimeError if this trio has other objects."""
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
    """Return trio's types whose hashes decide an order. Raises AttributeError."""
    return (_run.Task, _run.CancelStatus)


class _Orderly:
    """Replaces trio's random object for the runs of one thread."""

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
    """Return a function that replaces addresses, for the runs of one thread, by 0, 1, 2 ... in the order of first use."""

    def number(thing: object) -> int:
        if threading.get_ident() != thread:
            return usual(thing)
        seen = known.get(id(thing))
        if seen is None or seen[1]() is not thing:
            seen = known[id(thing)] = next(numbers), weakref.ref(thing)
        return seen[0]

    return number
