"""The manager and the engine for asyncio programs. They have the names and the rules of those for trio, which do the work."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from ..config.call import CallOptions, Message, StreamEvent
from ..config.runtime import RuntimeProviderConfig
from .acquiring import Block
from .bridged import BridgedEngine, BridgedLease, BridgedManager, close_events, open_events, release_lease
from .engine import AnswerStream, EngineCall
from .hosting import Crossing

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AsyncioAnswerStream", "AsyncioLease", "AsyncioProviderManager", "AsyncioReasoningEngine"]

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class AsyncioProviderManager(BridgedManager):
    """``async with AsyncioProviderManager(config) as manager:`` in an asyncio program. Raises ConfigurationError.

    It runs in the background thread that all such managers of the process share, and may be used from any event loop. ``observers``
    are called in that thread.
    """

    async def get_adapter(
        self,
        runtime_config: RuntimeProviderConfig,
        timeout: float | None = None,
        agent: str | None = None,
        priority: int = 0,
    ) -> AsyncioLease:
        """Wait for a lease, see :meth:`ProviderManager.get_adapter`. Cancelled in here, it leaves no trace."""
        acquire = partial(self.manager.get_adapter, runtime_config, timeout, agent, priority)
        return AsyncioLease(self.host, await self.host.call(acquire, release_lease))

    def acquire(
        self,
        runtime_config: RuntimeProviderConfig,
        timeout: float | None = None,
        agent: str | None = None,
        priority: int = 0,
    ) -> AsyncioAcquiring:
        """Acquire for a block: ``async with manager.acquire(...) as lease``. As :meth:`get_adapter`; leaving the block releases."""
        return AsyncioAcquiring(partial(self.get_adapter, runtime_config, timeout, agent, priority))

    async def run(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        """Await a trio function in the background thread, beside the manager: a method of a StateManager, say."""
        return await self.host.call(partial(function, *arguments))

    async def __aenter__(self) -> Self:
        await self.host.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.host.__aexit__(kind, error, trace)


class AsyncioAcquiring:
    """A lease for the length of an ``async with`` block."""

    def __init__(self, get_adapter: Callable[[], Awaitable[AsyncioLease]]) -> None:
        self._get_adapter = get_adapter
        self._block = Block[AsyncioLease]()

    async def __aenter__(self) -> AsyncioLease:
        self._block.begin()
        return self._block.enter(await self._get_adapter())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.leave().leave(error)


class AsyncioLease(BridgedLease):
    """A :class:`Lease` whose adapter is called from asyncio."""

    @property
    def adapter(self) -> AsyncioAdapter:
        """The leased adapter. Raises LeaseReleasedError once the lease is over."""
        self.leased()
        return AsyncioAdapter(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(error)


class AsyncioAdapter:
    """The adapter of a lease."""

    def __init__(self, lease: AsyncioLease) -> None:
        self._lease = lease

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Stream the answer to ``prompt``. Close it (``contextlib.aclosing``) where it is not read to its end."""
        host = self._lease.host
        events = await host.call(partial(open_events, self._lease.leased(), prompt, options), close_events)
        try:
            while True:
                try:
                    event = await host.call(events.__anext__)
                except StopAsyncIteration:
                    return
                yield event
        finally:
            await host.call(partial(close_events, events))


class AsyncioReasoningEngine(BridgedEngine[AsyncioProviderManager]):
    """Makes calls from asyncio. ``state`` is what a :class:`ReasoningEngine` takes, and is asked in the background thread."""

    manager_type = AsyncioProviderManager

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncioCall:
        """Call for a block: ``async with engine.call(prompt, options) as stream: async for event in stream: ...``.

        See :meth:`ReasoningEngine.call`.
        """
        return AsyncioCall(self.host, self.engine.call(prompt, options))


class AsyncioCall:
    """One call, for the length of an ``async with`` block."""

    def __init__(self, host: Crossing, call: EngineCall) -> None:
        self._host = host
        self._call = call

    async def __aenter__(self) -> AsyncioAnswerStream:
        stream = await self._host.call(self._call.__aenter__, AnswerStream.close)
        return AsyncioAnswerStream(self._host, stream)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, GeneratorExit):  # its task is destroyed, and cannot wait: the stream is dropped
            await self._host.call(partial(self._call.__aexit__, kind, error, trace))


class AsyncioAnswerStream:
    """An :class:`AnswerStream` that is read from asyncio, one event at a time: nothing is read ahead."""

    def __init__(self, host: Crossing, stream: AnswerStream) -> None:
        self.lease = AsyncioLease(host, stream.lease)
        self._host = host
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        return await self._host.call(self._stream.__anext__)

    async def close(self) -> None:
        """End the stream, then free its lease; again is a no-op."""
        await self._host.call(self._stream.close)
