"""The state of a program as one number: every task's position in the code, its plain locals, its next result, and the time."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from enum import Enum
from operator import itemgetter
from types import FrameType

import trio
from outcome import Error, Value

from .switch import message

__all__ = ["fingerprint"]


def fingerprint(tasks: Iterable[trio.lowlevel.Task], ready: Collection[trio.lowlevel.Task], state: object) -> int:
    """Return a number that is equal for equal states. Of other than plain objects only the class counts; ``state`` must cover them."""
    hash(state)  # says what is wrong if it is not hashable
    return hash((trio.current_time(), state, tuple(_task(task, task in ready) for task in tasks)))


def _task(task: trio.lowlevel.Task, ready: bool) -> Hashable:
    frames = tuple((frame.f_code, frame.f_lasti, _locals(frame)) for frame, _ in task.iter_await_frames())
    return ready, _heard(message(task)), frames


def _locals(frame: FrameType) -> Hashable:
    """Return the plain locals, sorted by name: the order of ``f_locals`` depends on earlier reads of it."""
    return tuple((name, _plain(value)) for name, value in sorted(frame.f_locals.items(), key=itemgetter(0)))


def _heard(sent: object) -> Hashable:
    if isinstance(sent, Value):
        return "value", _plain(sent.value)
    return ("error", type(sent.error)) if isinstance(sent, Error) else None


def _plain(value: object) -> Hashable:
    if value is None or isinstance(value, (bool, int, float, str, bytes, Enum)):
        return type(value), value
    if isinstance(value, (tuple, list)):
        return type(value), tuple(_plain(one) for one in value)
    if isinstance(value, dict):
        return tuple((_plain(key), _plain(one)) for key, one in value.items())
    if isinstance(value, (set, frozenset)):
        return frozenset(_plain(one) for one in value)
    if isinstance(value, trio.CancelScope):
        return value.deadline, value.cancel_called, value.shield
    if isinstance(value, trio.Nursery):
        return _plain(value.cancel_scope)
    if isinstance(value, trio.Event):
        return value.is_set()
    return type(value).__qualname__
