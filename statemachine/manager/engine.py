"""Calls through leases: acquire, stream, free. Whichever way a call ends, its lease is freed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from trio.lowlevel import enable_ki_protection

from ..checks import shown
from ..config.call import CallOptions, Message, StreamEvent
from ..config.runtime import RuntimeProviderConfig
from ..errors import ConfigurationError
from ..text import fit_to_show
from .broken import says_broken
from .expected import check_stream, name_of
from .faults import own_fault
from .hints import AsyncOnly
from .lease import Lease
from .manager import ProviderManager
from .reading import Reading
from .running import check_trio

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AnswerStream", "EngineCall", "ReasoningEngine", "ThreadConfigs"]


class ThreadConfigs(Protocol):
    """Where the engine looks up the provider of a thread."""

    async def runtime_provider_config(self, thread_id: str) -> RuntimeProviderConfig | None:
        """Return the thread's provider, if it has one."""
        ...


class ReasoningEngine:
    """Makes calls. With ``state``, a call that names only a thread uses that thread's provider."""

    def __init__(self, manager: ProviderManager, state: ThreadConfigs | None = None) -> None:
        if not isinstance(manager, ProviderManager):
            rule = "must be a ProviderManager (its sides for asyncio and for plain code have engines of their own)"
            raise ConfigurationError("manager", rule, shown(manager))
        if state is not None and not callable(getattr(state, "runtime_provider_config", None)):
            raise ConfigurationError("state", "must be a StateManager or None", shown(state))
        self._manager = manager
        self._state = state

    def call(self, prompt: Sequence[Message], options: CallOptions) -> EngineCall:
        """Call for a block: ``async with engine.call(prompt, options) as stream: async for event in stream: ...``

        Entering acquires, and raises what ``ProviderManager.get_adapter`` raises. Iterating raises an AdapterError where the adapter
        reports one, and TruncatedStreamError where its stream just stops. The lease is freed at the stream's end or error, or when the
        block is left, whichever is first.
        """
        return EngineCall(self, prompt, options)

    async def acquire(self, options: CallOptions) -> Lease:
        """Acquire the lease for a call with ``options``."""
        check_trio()
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
                "thread_id", "must name a thread with a runtime_provider_config", repr(fit_to_show(options.thread_id))
            )
        return config


class EngineCall(AsyncOnly):
    """One call, for the length of an ``async with`` block."""

    _how = "async with engine.call(prompt, options) as stream: and in the block: async for event in stream"

    def __init__(self, engine: ReasoningEngine, prompt: Sequence[Message], options: CallOptions) -> None:
        _check_prompt(prompt)
        if not isinstance(options, CallOptions):
            raise ConfigurationError(
                "options", "must be CallOptions(runtime_config, ...)", f"a {type(options).__name__}"
            )
        self._engine = engine
        self._prompt = prompt
        self._options = options
        self._entered = False
        self._stream: AnswerStream | None = None

    async def __aenter__(self) -> AnswerStream:
        if self._entered:
            raise RuntimeError("enter what call() returns once; call it again for another answer")
        self._entered = True
        lease = await self._engine.acquire(self._options)
        try:
            self._stream = self._open(lease)
        except BaseException as error:
            lease._lessor.release(lease.ticket, says_broken(error))
            raise
        return self._stream

    def _open(self, lease: Lease) -> AnswerStream:
        adapter = lease.adapter
        try:
            events = check_stream(adapter.call(self._prompt, self._options), name_of(adapter))
        except BaseException as error:
            fault = own_fault(error, f"{name_of(adapter)}.call()")
            if fault is error:
                raise
            raise fault from error
        return AnswerStream(lease, events)

    @enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is None:
            raise RuntimeError(f"the block was not entered: {self._how}")
        # an error that leaves the block is the stream's own only if it has closed it already
        await self._stream.close()

    def __aiter__(self) -> NoReturn:
        raise TypeError(f"write: {self._how}")

    def __await__(self) -> NoReturn:
        raise TypeError(f"write: {self._how}")


def _check_prompt(prompt: object) -> None:
    """Check that ``prompt`` is a list of messages. Raises ConfigurationError."""
    rule = "must be a list of messages: write [{'role': 'user', 'content': 'text'}]"
    if isinstance(prompt, (str, bytes, Mapping)) or not isinstance(prompt, Sequence):
        raise ConfigurationError("prompt", rule, f"a {type(prompt).__name__}")
    for index, message in enumerate(prompt):
        if not isinstance(message, Mapping):
            raise ConfigurationError(f"prompt[{index}]", rule, f"a {type(message).__name__}")


class AnswerStream(AsyncOnly):
    """The events of one answer, up to and including its ``end``. ``lease`` tells where it runs and how long it waited.

    One task reads at a time; any task may close.
    """

    _how = "async for event in stream"

    def __init__(self, lease: Lease, events: AsyncIterator[StreamEvent]) -> None:
        self.lease = lease
        self._reading = Reading(lease, events)
        lease._lessor.enter_block(lease.ticket)
        lease._lessor.begin_use(lease.ticket, self._reading)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, StreamEvent]:
        """Return the next event. Raises what the stream raises (:meth:`ReasoningEngine.call`), and StopAsyncIteration after the end.

        Raises trio.BusyResourceError while another task reads, trio.ClosedResourceError if the stream was closed before its end, and
        LeaseReleasedError if its lease was released or revoked before.
        """
        return self._reading.next()

    async def close(self) -> None:
        """End the stream, wait until the adapter's generator has ended, and free the lease; again is a no-op.

        Any task may close: a read that is under way in another task is cancelled and raises trio.ClosedResourceError there.
        """
        await self._reading.close()
