"""The one background thread with a trio run, where asyncio programs and plain threads have their managers.

It starts with its first user and ends when its last user has left, or when the interpreter exits: everything in it is then
cancelled, so that each manager closes without grace, and unloads what it has loaded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

import trio

from ..errors import ManagerClosedError

__all__ = ["Background", "current", "join", "leave"]

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

_FORKED = "it was opened before a fork, in another process: open another one here"
_ENDED = "the background thread has ended"


class Background:
    """One thread, one trio run. ``nursery`` is where its tasks live: none of them may raise."""

    nursery: trio.Nursery

    def __init__(self) -> None:
        self.users = 0
        self.is_ending = False  # it takes no new call
        self._process = os.getpid()
        self._token: trio.lowlevel.TrioToken | None = None
        self._running = threading.Event()
        self._scope = trio.CancelScope()
        self.thread = threading.Thread(target=self._run, name="llm-slot-manager")
        self.thread.start()
        self._running.wait()

    @property
    def is_open(self) -> bool:
        """Whether it takes calls from this process."""
        return self._process == os.getpid() and not self.is_ending

    def soon(self, function: Callable[[*Arguments], object], *arguments: *Arguments) -> None:
        """Have ``function`` called in the trio run, from any thread, in the order of the calls. It must not raise.

        Raises ManagerClosedError where the run is over, or belongs to another process.
        """
        if self._process != os.getpid():
            raise ManagerClosedError(_FORKED)
        if self._token is None:
            raise ManagerClosedError(_ENDED)
        try:
            self._token.run_sync_soon(function, *arguments)
        except trio.RunFinishedError:
            raise ManagerClosedError(_ENDED) from None

    def read(self, function: Callable[[], T]) -> T:
        """Return the result of ``function`` in the trio run; the calling thread waits for one step of the run."""
        if not self.is_open:
            raise ManagerClosedError(_FORKED if self._process != os.getpid() else _ENDED)
        try:
            return trio.from_thread.run_sync(function, trio_token=self._token)
        except trio.RunFinishedError:
            raise ManagerClosedError(_ENDED) from None

    @property
    def is_here(self) -> bool:
        """Whether this is called in its trio run."""
        return threading.current_thread() is self.thread

    def end(self) -> None:
        """Cancel everything in it, from any thread; again is a no-op."""
        self.is_ending = True
        with suppress(ManagerClosedError):
            self.soon(self._scope.cancel)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        finally:
            self.is_ending = True
            self._running.set()

    async def _main(self) -> None:
        with self._scope:
            async with trio.open_nursery() as self.nursery:
                self._token = trio.lowlevel.current_trio_token()
                self._running.set()
                await trio.sleep_forever()


_lock = threading.Lock()
_current: Background | None = None
_watched = False


def current() -> Background | None:
    """Return the background thread that there is now."""
    return _current if _current is not None and _current.is_open else None


def join() -> Background:
    """Become a user of the background thread: it is started if there is none. :func:`leave` is called exactly once for it."""
    global _current
    with _lock:
        if _current is None or not _current.is_open:
            _watch_for_exit()
            _current = Background()
        _current.users += 1
        return _current


def leave(background: Background) -> None:
    """Count one user less; after the last one, end the thread."""
    global _current
    with _lock:
        background.users -= 1
        if background.users == 0:
            background.end()
            if _current is background:
                _current = None


def _watch_for_exit() -> None:
    """Have a thread that waits for the interpreter's exit, which cannot be waited for in a trio run."""
    global _watched
    if not _watched:
        _watched = True
        threading.Thread(target=_end_at_exit, name="llm-slot-manager exit", daemon=True).start()


def _end_at_exit() -> None:
    """End the background thread after the main thread and all others that keep the process alive.

    The background thread is no daemon, so the interpreter waits for it; an exit handler of :mod:`atexit` would run after that,
    and in some versions of Python could no longer start the threads that look up host names.
    """
    threading.main_thread().join()
    while others := [thread for thread in threading.enumerate() if _keeps_alive(thread)]:
        others[0].join()
    if _current is not None:
        _current.end()


def _keeps_alive(thread: threading.Thread) -> bool:
    background = None if _current is None else _current.thread
    return not thread.daemon and thread is not background and thread is not threading.main_thread()


def _forget_after_fork() -> None:
    """Start anew in a child process: it has only the thread that forked, and maybe a copy of a lock that is held."""
    global _lock, _current, _watched
    _lock, _current, _watched = threading.Lock(), None, False


os.register_at_fork(after_in_child=_forget_after_fork)
