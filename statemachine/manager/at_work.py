"""Tell an ordinary call of a task from one that interrupts something: a signal handler, a finaliser, a tracing function.

An interrupting call may come between any two instructions, also in the middle of trio's own code or of the manager's. What it finds
there is half changed, so it must not touch it. From the outside such a call looks like any other; what gives it away is the stack:
between the caller and the task's first frame there is a frame of trio or of the manager, or the task's first frame is not on the
stack at all, because trio was between two tasks.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

import trio
from trio.lowlevel import current_task, current_trio_token

__all__ = ["check_room", "is_task_at_work"]

_MANAGER: Final = __name__.rpartition(".")[0] + "."
_CRITICAL: Final = ("trio.", _MANAGER)
_SERVING: Final = "trio._highlevel_serve_listeners"
"""The first frame of a connection's task, in a server of ``trio.serve_tcp`` and the like: it only awaits the connection's handler."""

_ROOM_FRAMES: Final = 150  # more than a step of the coordinator takes, with every property evaluated
_DEEP_FRAMES: Final = 100  # a task whose own stack is less deep has room: to look at all of it takes longer
_SHALLOW: Final = range(_DEEP_FRAMES)


def _has_room() -> bool:
    """Return whether there is room for a step on the stack: one that ends in its middle leaves its work half done."""
    try:
        sys._getframe(sys.getrecursionlimit() - _ROOM_FRAMES)
    except ValueError:
        return True
    return False


def check_room(task: trio.lowlevel.Task) -> None:
    """Raise RecursionError, before anything is changed, where ``task``, which runs, is so deep that a step could end in its middle."""
    first = task.coro.cr_frame
    frame: FrameType | None = sys._getframe(2)  # not the manager's own: only what is looked at is made an object
    for _ in _SHALLOW:
        if frame is first or frame is None:
            return
        frame = frame.f_back
    if not _has_room():
        raise RecursionError("the stack is too deep to ask for a lease")


def is_task_at_work(home: trio.lowlevel.TrioToken | None, frame: FrameType | None) -> bool:
    """Return whether ``frame`` belongs to a task of the run ``home``, and neither trio nor the manager stands between it and the task.

    Also no where the task is so deep in its functions that a step might not end.

    False means "perhaps not": code that trio itself calls, such as an instrument, is told the same as a signal handler.
    """
    try:
        if current_trio_token() is not home:
            return False
        first = current_task().coro.cr_frame
    except RuntimeError:  # no trio run in this thread, or no task of it that runs
        return False
    above = 0  # frames of the task
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if isinstance(module, str) and module.startswith(_CRITICAL) and not (frame is first and module == _SERVING):
            return False
        if frame is first:
            return above < _DEEP_FRAMES or _has_room()
        above += 1
        frame = frame.f_back
    return False
