"""For adapters that need asyncio: each one lives on an event loop of its own, in a thread, and is used from trio.

    ProviderConfig("mine", OnAsyncio(MyAsyncioAdapter))

``start``, ``call`` and ``shutdown`` run on that loop; the constructor does not, so what needs a running loop belongs into ``start``. One
asyncio task reads a stream, so that time-outs and task groups that span several events work; it goes on only when the reader wants
the next event. Cancelling on trio's side cancels the asyncio task and waits until it has ended. The thread lives from the first use to
the end of ``shutdown``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Final

import trio

from statemachine.config.adapter import Adapter, AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.errors import AdapterError, AdapterRequestError

__all__ = ["OnAsyncio"]


class OnAsyncio:
    """A factory of adapters for trio, made of a factory of adapters that need asyncio."""

    def __init__(self, factory: Callable[[AdapterConfig], Any]) -> None:
        self._factory = factory

    def __call__(self, config: AdapterConfig) -> Adapter:
        """Construct the adapter. What its constructor raises is raised."""
        return _Bridged(self._factory(config))


class _Bridged:
    """One adapter and its loop."""

    def __init__(self, adapter: Any) -> None:
        self._adapter: Final = adapter
        self._loop: _LoopThread | None = None
        self._down = False

    def __repr__(self) -> str:
        return f"<on asyncio: {self._adapter!r}>"

    async def start(self) -> None:
        """Await the adapter's ``start``, if it has one."""
        if callable(start := getattr(self._adapter, "start", None)):
            await self._thread().run(start)

    async def shutdown(self) -> None:
        """Await the adapter's ``shutdown``, if it has one, and end the thread."""
        self._down = True
        try:
            if callable(shutdown := getattr(self._adapter, "shutdown", None)):
                await self._thread().run(shutdown)
        finally:
            loop, self._loop = self._loop, None
            if loop is not None:
                with trio.CancelScope(shield=True):
                    await loop.end()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Yield the adapter's events. Raises what it raises, and AdapterRequestError after shutdown."""
        if self._down:
            raise AdapterRequestError("the adapter is shut down")
        stream = _Stream(self._thread(), lambda: self._adapter.call(prompt, options))
        try:
            while (event := await stream.next()) is not None:
                yield event
        finally:
            with trio.CancelScope(shield=True):
                await stream.close()

    def _thread(self) -> _LoopThread:
        if self._loop is None:
            self._loop = _LoopThread()
        return self._loop


class _LoopThread:
    """An asyncio event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop: Final = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="asyncio adapter", daemon=True)
        self._thread.start()

    async def run(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Await ``function()`` over there. Raises what it raises."""
        await _Job(self.loop, function).wait()

    async def end(self) -> None:
        """End the loop and its thread."""
        await self.run(self.loop.shutdown_asyncgens)
        self.loop.call_soon_threadsafe(self.loop.stop)
        await trio.to_thread.run_sync(self._thread.join)
        self.loop.close()


class _Job:
    """One asyncio task, watched from trio."""

    def __init__(self, loop: asyncio.AbstractEventLoop, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = loop
        self._function = function
        self._trio = trio.lowlevel.current_trio_token()
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self.done: Final = trio.Event()
        loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._function())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._error = AdapterError("the adapter's asyncio task was cancelled")
        else:
            self._error = task.exception()
        self._trio.run_sync_soon(self.done.set)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def wait(self) -> None:
        """Wait for its end, and raise what it raised. Cancelled, cancel it, and wait for its end all the same."""
        try:
            await self.done.wait()
        except trio.Cancelled:
            await self.cancel()
            raise
        self.raise_error()

    async def cancel(self) -> None:
        """Cancel it and wait for its end, shielded."""
        self._loop.call_soon_threadsafe(self._cancel)
        with trio.CancelScope(shield=True):
            await self.done.wait()

    def raise_error(self) -> None:
        """Raise what it raised, once it is done."""
        if self._error is not None:
            raise self._error


class _Stream:
    """A stream that an asyncio task reads, one event at a time, as they are wanted."""

    def __init__(self, thread: _LoopThread, call: Callable[[], Any]) -> None:
        self._loop = thread.loop
        self._call = call
        self._trio = trio.lowlevel.current_trio_token()
        self._wanted = asyncio.Event()
        self._events, self._results = trio.open_memory_channel[StreamEvent | None](2)
        self._job = _Job(thread.loop, self._read)

    async def _read(self) -> None:
        """Read the stream over there, one event each time that one is wanted."""
        try:
            await self._want()
            async with aclosing(self._call()) as events:
                async for event in events:
                    self._trio.run_sync_soon(self._events.send_nowait, event)
                    await self._want()
        finally:
            self._trio.run_sync_soon(self._events.send_nowait, None)

    async def _want(self) -> None:
        await self._wanted.wait()
        self._wanted.clear()

    async def next(self) -> StreamEvent | None:
        """Return the next event; None at the end. Raises what the adapter raises."""
        self._loop.call_soon_threadsafe(self._wanted.set)
        event = await self._results.receive()
        if event is None:
            await self._job.wait()
        return event

    async def close(self) -> None:
        """Cancel what still runs, and wait for its end."""
        if not self._job.done.is_set():
            await self._job.cancel()
