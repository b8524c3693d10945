"""From asyncio tasks and plain threads into the background trio run, and back: one call at a time for each of them.

Each asyncio task, and each thread, has a *twin* there: a trio task that makes its calls, one after the other. To trio's rules about
tasks the two are one: a lease belongs to its task, so a caller that would wait for itself is refused; a generator is resumed by one
task only; context variables are those of the call. A call is cancelled with its caller, which waits until the call has ended.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import trio
from outcome import Error, Outcome, Value

from ..errors import ManagerClosedError
from .background import Background

__all__ = ["Function", "Undo", "call_from_asyncio", "call_from_thread"]

T = TypeVar("T")

Function: TypeAlias = Callable[[], Awaitable[T]]
Undo: TypeAlias = Callable[[Any], Awaitable[object]]
"""Takes back what a call has returned to a caller that was cancelled at that very moment, or is gone. It is shielded from cancellation."""

WAKE_SECONDS: Final = 0.5
_ENDED: Final = "the background thread has ended"


async def call_from_asyncio(background: Background, function: Function[T], undo: Undo | None = None) -> T:
    """Call ``function`` in the trio run for the current asyncio task, and return its result.

    Cancelled in here, the call is cancelled too, and the task goes on when it has ended. Raises what ``function`` raises, and
    ManagerClosedError where the background has ended or belongs to another process.
    """
    arrival = _Arrival(asyncio.get_running_loop())
    call = _Call(function, arrival.deliver, undo)
    _caller_in_asyncio(background).submit(call)
    cancellation: asyncio.CancelledError | None = None
    while arrival.outcome is None:
        try:
            await arrival.wait()
        except asyncio.CancelledError as error:
            cancellation = error
            call.cancel(background)
        except GeneratorExit:  # the task is destroyed
            call.cancel(background)
            raise
    if cancellation is None:
        result: T = arrival.outcome.unwrap()
        return result
    if undo is not None and isinstance(arrival.outcome, Value):
        with suppress(asyncio.CancelledError):
            await call_from_asyncio(background, partial(_shielded, undo, arrival.outcome.value))
    try:
        raise cancellation
    finally:
        del cancellation, arrival  # no cycle of exception and frame


def call_from_thread(background: Background, function: Function[T], undo: Undo | None = None) -> T:
    """Call ``function`` in the trio run for the current thread, which waits, and return its result. Raises as :func:`call_from_asyncio`.

    A KeyboardInterrupt in the meantime cancels the call, and leaves when it has ended.
    """
    arrival: SimpleQueue[Outcome[T]] = SimpleQueue()
    call = _Call(function, arrival.put, undo)
    try:
        _caller_in_thread(background).submit(call)
        result = _awaited(arrival)
    except Exception:
        raise  # it was refused
    except BaseException:
        if not call.cancel(background):
            raise
        result = _awaited(arrival)
        if undo is not None and isinstance(result, Value):
            call_from_thread(background, partial(_shielded, undo, result.value))
        raise
    return result.unwrap()


def _awaited(arrival: SimpleQueue[Outcome[T]]) -> Outcome[T]:
    """Wait for the outcome. A signal that comes just before a thread falls asleep does not wake it, so it wakes by itself now and then."""
    while True:
        try:
            return arrival.get(timeout=WAKE_SECONDS)
        except Empty:
            pass


async def _shielded(undo: Undo, value: object) -> None:
    with trio.CancelScope(shield=True):
        await undo(value)


class _Arrival:
    """Where an outcome arrives in an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.outcome: Outcome[Any] | None = None
        self._loop = loop
        self._woken: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Wait for the outcome. Cancelled, it can be waited for again."""
        self._woken = self._loop.create_future()
        await self._woken

    def deliver(self, outcome: Outcome[Any]) -> None:
        """Called in the trio run. Raises RuntimeError where the loop is closed."""
        self._loop.call_soon_threadsafe(self._arrive, outcome)

    def _arrive(self, outcome: Outcome[Any]) -> None:
        self.outcome = outcome
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


class _Call:
    """One call of a trio function, with the context of its caller. ``deliver`` takes its outcome there, or raises RuntimeError."""

    def __init__(self, function: Function[Any], deliver: Callable[[Outcome[Any]], None], undo: Undo | None) -> None:
        self.context = copy_context()
        self.scope = trio.CancelScope()
        self.taken = False
        self._function = function
        self._deliver = deliver
        self._undo = undo

    def cancel(self, background: Background) -> bool:
        """Cancel it, from the caller's thread. Returns whether its outcome will be delivered: not where the background has ended."""
        try:
            background.soon(self._withdraw)
        except ManagerClosedError:
            return False
        return True

    def _withdraw(self) -> None:
        """Calls come in order, so one that is not taken by now never will be: its caller was interrupted before."""
        self.scope.cancel()
        if not self.taken:
            self.taken = True
            self.end(Error(ManagerClosedError("the call was not made")))

    async def run(self) -> None:
        """Make the call and deliver its outcome. Raises Cancelled only where the background ends."""
        result: Outcome[Any] = Error(ManagerClosedError(_ENDED))
        delivered = True
        try:
            with self.scope:
                result = Value(await self._function())
        except trio.Cancelled:
            raise
        except BaseException as error:
            result = Error(error)
        finally:
            delivered = self.end(result)
        if not delivered and self._undo is not None and isinstance(result, Value):
            await _shielded(self._undo, result.value)

    def end(self, result: Outcome[Any]) -> bool:
        """Deliver ``result``. Returns whether that was possible: an event loop may be closed."""
        try:
            self._deliver(result)
        except RuntimeError:
            return False
        return True


class _Twin:
    """The trio task of one caller: it makes a call, and waits for the next (unless it lives ``once``), until it is told to end."""

    def __init__(self, background: Background, *, once: bool = False) -> None:
        self._background = background
        self._once = once
        self._task: trio.lowlevel.Task | None = None
        self._under_way: _Call | None = None
        self._waits = False
        self._over = False

    def take(self, call: _Call) -> None:
        """Make ``call``, in the trio run. What was delivered has ended, so one under way means a call from a finaliser."""
        call.taken = True
        if self._over or self._background.is_ending:
            call.end(Error(ManagerClosedError(_ENDED)))
        elif self._under_way is not None:
            _Twin(self._background, once=True)._make(call)
        else:
            self._make(call)

    def _make(self, call: _Call) -> None:
        self._under_way = call
        if self._task is None:
            call.context.run(partial(self._background.nursery.start_soon, self._live, name="a caller's twin"))
        else:
            self._task.context = call.context  # which trio reads when it resumes the task
            self._resume()

    def end(self) -> None:
        """End, in the trio run. A call that is still under way has lost its caller, and is cancelled."""
        self._over = True
        if self._under_way is not None:
            self._under_way.scope.cancel()
        self._resume()

    async def _live(self) -> None:
        self._task = trio.lowlevel.current_task()
        try:
            while self._under_way is not None:
                await self._under_way.run()
                self._under_way = None
                if not (self._over or self._once):
                    await self._wait()
        finally:
            self._over = True

    async def _wait(self) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            self._waits = False
            return trio.lowlevel.Abort.SUCCEEDED

        self._waits = True
        await trio.lowlevel.wait_task_rescheduled(abort)

    def _resume(self) -> None:
        if self._waits:
            self._waits = False
            assert self._task is not None, "only a task that lives waits"
            trio.lowlevel.reschedule(self._task)


class _Caller:
    """A caller's own end of its twin, which ends with it."""

    def __init__(self, background: Background) -> None:
        self.background = background
        self._twin = _Twin(background)

    def submit(self, call: _Call) -> None:
        """Have ``call`` made. Raises ManagerClosedError."""
        self.background.soon(self._twin.take, call)

    def end(self, _: object = None) -> None:
        """End the twin; again is a no-op."""
        with suppress(ManagerClosedError):
            self.background.soon(self._twin.end)

    def __del__(self) -> None:
        self.end()


class _Callers(threading.local):
    """Those of the current thread: its asyncio tasks, and itself."""

    def __init__(self) -> None:
        self.tasks: WeakKeyDictionary[asyncio.Task[Any], _Caller] = WeakKeyDictionary()
        self.thread: _Caller | None = None


_callers = _Callers()


def _caller_in_asyncio(background: Background) -> _Caller:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("call this from an asyncio task")
    caller = _callers.tasks.get(task)
    if caller is None or caller.background is not background:
        caller = _callers.tasks[task] = _Caller(background)
        task.add_done_callback(caller.end)
    return caller


def _caller_in_thread(background: Background) -> _Caller:
    if background.is_here:
        raise RuntimeError("this would wait for itself: await the trio objects here")
    caller = _callers.thread
    if caller is None or caller.background is not background:
        caller = _callers.thread = _Caller(background)
    return caller
