"""The manager and the engine for plain threads. They have the names and the rules of those for trio, which do the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
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

__all__ = ["SyncAnswerStream", "SyncLease", "SyncProviderManager", "SyncReasoningEngine"]

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class SyncProviderManager(BridgedManager):
    """``with SyncProviderManager(config) as manager:`` in a program without an event loop. Raises ConfigurationError.

    It runs in the background thread that all such managers of the process share, and may be used from any thread: each has
    its own leases. ``observers`` are called in the background thread.
    """

    def get_adapter(
        self,
        runtime_config: RuntimeProviderConfig,
        timeout: float | None = None,
        agent: str | None = None,
        priority: int = 0,
    ) -> SyncLease:
        """Wait for a lease, see :meth:`ProviderManager.get_adapter`. A KeyboardInterrupt in here leaves no trace."""
        acquire = partial(self.manager.get_adapter, runtime_config, timeout, agent, priority)
        return SyncLease(self.host, self.host.wait(acquire, release_lease))

    def acquire(
        self,
        runtime_config: RuntimeProviderConfig,
        timeout: float | None = None,
        agent: str | None = None,
        priority: int = 0,
    ) -> SyncAcquiring:
        """Acquire for a block: ``with manager.acquire(...) as lease``. As :meth:`get_adapter`; leaving the block releases."""
        return SyncAcquiring(partial(self.get_adapter, runtime_config, timeout, agent, priority))

    def run(self, function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
        """Await a trio function in the background thread, beside the manager: a method of a StateManager, say."""
        return self.host.wait(partial(function, *arguments))

    def __enter__(self) -> Self:
        self.host.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.host.__exit__(kind, error, trace)


class SyncAcquiring:
    """A lease for the length of a ``with`` block."""

    def __init__(self, get_adapter: Callable[[], SyncLease]) -> None:
        self._get_adapter = get_adapter
        self._block = Block[SyncLease]()

    def __enter__(self) -> SyncLease:
        self._block.begin()
        return self._block.enter(self._get_adapter())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.leave().leave(error)


class SyncLease(BridgedLease):
    """A :class:`Lease` whose adapter is called from a thread."""

    @property
    def adapter(self) -> SyncAdapter:
        """The leased adapter. Raises LeaseReleasedError once the lease is over."""
        self.leased()
        return SyncAdapter(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(error)


class SyncAdapter:
    """The adapter of a lease."""

    def __init__(self, lease: SyncLease) -> None:
        self._lease = lease

    def call(self, prompt: Sequence[Message], options: CallOptions) -> Generator[StreamEvent, None, None]:
        """Stream the answer to ``prompt``. Close it (``contextlib.closing``) where it is not read to its end."""
        host = self._lease.host
        events = host.wait(partial(open_events, self._lease.leased(), prompt, options), close_events)
        try:
            while True:
                try:
                    event = host.wait(events.__anext__)
                except StopAsyncIteration:
                    return
                yield event
        finally:
            host.wait(partial(close_events, events))


class SyncReasoningEngine(BridgedEngine[SyncProviderManager]):
    """Makes calls from threads. ``state`` is what a :class:`ReasoningEngine` takes, and is asked in the background thread."""

    manager_type = SyncProviderManager

    def call(self, prompt: Sequence[Message], options: CallOptions) -> SyncCall:
        """Call for a block: ``with engine.call(prompt, options) as stream: for event in stream: ...``.

        See :meth:`ReasoningEngine.call`.
        """
        return SyncCall(self.host, self.engine.call(prompt, options))


class SyncCall:
    """One call, for the length of a ``with`` block."""

    def __init__(self, host: Crossing, call: EngineCall) -> None:
        self._host = host
        self._call = call

    def __enter__(self) -> SyncAnswerStream:
        return SyncAnswerStream(self._host, self._host.wait(self._call.__aenter__, AnswerStream.close))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._host.wait(partial(self._call.__aexit__, kind, error, trace))


class SyncAnswerStream:
    """An :class:`AnswerStream` that is read from a thread, one event at a time: nothing is read ahead."""

    def __init__(self, host: Crossing, stream: AnswerStream) -> None:
        self.lease = SyncLease(host, stream.lease)
        self._host = host
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        try:
            return self._host.wait(self._stream.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """End the stream, then free its lease; again is a no-op."""
        self._host.wait(self._stream.close)
