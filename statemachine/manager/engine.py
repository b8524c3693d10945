"""Calls through leases: acquire, stream, free. Whichever way a call ends, its lease is freed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from ..config.call import CallOptions, Message, StreamEvent
from ..config.runtime import RuntimeProviderConfig
from ..errors import AdapterError, AdapterProtocolError, ConfigurationError, TruncatedStreamError
from .lease import Lease, says_broken
from .manager import ProviderManager

if TYPE_CHECKING:
    from typing import Self

log = logging.getLogger(__name__)

__all__ = ["AnswerStream", "Call", "ReasoningEngine", "ThreadConfigs"]


class ThreadConfigs(Protocol):
    """Where the engine looks up the provider of a thread."""

    async def runtime_provider_config(self, thread_id: str) -> RuntimeProviderConfig | None:
        """The thread's provider, if it has one."""
        ...


class ReasoningEngine:
    """Makes calls. With ``state``, a call that names only a thread uses that thread's provider."""

    def __init__(self, manager: ProviderManager, state: ThreadConfigs | None = None) -> None:
        self._manager = manager
        self._state = state

    def call(self, prompt: Sequence[Message], options: CallOptions) -> Call:
        """``async with engine.call(prompt, options) as stream: async for event in stream: ...``

        Entering acquires, and raises what ``ProviderManager.get_adapter`` raises. Iterating raises an AdapterError where the adapter
        reports one, and TruncatedStreamError where its stream just stops. The lease is freed at the stream's end or error, or when the
        block is left, whichever is first.
        """
        return Call(self, prompt, options)

    async def acquire(self, options: CallOptions) -> Lease:
        """The lease for a call with ``options``."""
        config = await self._provider_config(options)
        return await self._manager.get_adapter(config, options.timeout, options.agent, options.priority)

    async def _provider_config(self, options: CallOptions) -> RuntimeProviderConfig:
        if options.provider_config is not None:
            return options.provider_config
        if options.thread_id is None or self._state is None:
            raise ConfigurationError("provider_config", "must be given, or thread_id and an engine with state", "None")
        config = await self._state.runtime_provider_config(options.thread_id)
        if config is None:
            raise ConfigurationError(
                "thread_id", "must name a thread with a runtime_provider_config", repr(options.thread_id)
            )
        return config


class Call:
    """One call, for the length of an ``async with`` block."""

    def __init__(self, engine: ReasoningEngine, prompt: Sequence[Message], options: CallOptions) -> None:
        self._engine = engine
        self._prompt = prompt
        self._options = options
        self._entered = False

    async def __aenter__(self) -> AnswerStream:
        if self._entered:
            raise RuntimeError("enter what call() returns once; call it again for another answer")
        self._entered = True
        lease = await self._engine.acquire(self._options)
        try:
            events = lease.adapter.call(self._prompt, self._options)
        except BaseException as error:
            lease.release(broken=says_broken(error))
            raise
        self._stream = AnswerStream(lease, events)
        return self._stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await (
            self._stream.close()
        )  # an error that leaves the block is the stream's own only if it has closed it already


class AnswerStream:
    """The events of one answer, up to and including its ``end``. ``lease`` tells where it runs and how long it waited."""

    def __init__(self, lease: Lease, events: AsyncIterator[StreamEvent]) -> None:
        self.lease = lease
        self._events = events
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        if self._ended:
            raise StopAsyncIteration
        try:
            event = await self._next()
        except BaseException as error:
            await self.close(error)
            raise
        if event.type == "end":
            await self.close()
        return event

    async def _next(self) -> StreamEvent:
        try:
            event = await anext(self._events)
        except StopAsyncIteration:
            raise TruncatedStreamError("the stream stopped without its closing event") from None
        if event.type == "error":
            raise (
                event.data if isinstance(event.data, AdapterError) else AdapterProtocolError("an error without a cause")
            )
        return event

    async def close(self, error: BaseException | None = None) -> None:
        """End the stream, then free its lease; again is a no-op. The instance is broken if ``error`` says so."""
        if self._ended:
            return
        self._ended = True
        broken = says_broken(error)
        if broken:
            self.lease.drain()  # nobody is to be granted the instance while the stream takes its time to close
        if isinstance(error, AdapterError):
            error.settled = True
        try:
            aclose = getattr(self._events, "aclose", None)
            if aclose is not None:
                await aclose()
        except Exception as closing:  # the answer, or what went wrong with it, matters more
            broken = broken or says_broken(closing)
            log.warning("closing a stream of %r failed with %s", self.lease, type(closing).__name__)
        finally:
            self.lease.release(broken)
