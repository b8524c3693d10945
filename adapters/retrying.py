"""Calls that fail in passing are repeated, before anything of their answer was seen. Off, unless a provider is configured with it::

    ProviderConfig("openai", Retrying(OpenAIAdapter, attempts=3))

The one place that repeats calls. What is repeated: an error that says ``retryable`` and not ``broken``, as the first event of an
answer. Once a piece of the answer has been handed on it never is, since the caller would get it twice. The lease is kept meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, TypeAlias

import trio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from statemachine.checks import check_callable, check_count, check_timeout
from statemachine.config.adapter import Adapter, AdapterConfig, AdapterFactory
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import AdapterError, AdapterProtocolError, AdapterRequestError

__all__ = ["Retrying", "RetryingAdapter"]

_Begun: TypeAlias = tuple[StreamEvent, AsyncIterator[StreamEvent]]
"""The first event of an answer, and the rest."""


class Retrying:
    """A factory of adapters whose calls are repeated: to be given as a provider's ``adapter``. Raises ConfigurationError.

    ``attempts``: how often a call is made at most. Pauses are random and grow, up to ``longest_pause`` seconds; a server that asks for
    a pause (``Retry-After``) gets it, and where it asks for more than that, the call is not repeated.
    """

    def __init__(self, factory: AdapterFactory, *, attempts: int = 3, longest_pause: float = 30.0) -> None:
        check_callable("factory", factory, "with one AdapterConfig")
        check_count("attempts", attempts)
        check_timeout("longest_pause", longest_pause)
        self._factory: Final = factory
        self._attempts: Final = attempts
        self._longest_pause: Final = longest_pause
        declaring: Any = factory
        while isinstance(declaring, partial):
            declaring = declaring.func
        for name in ("is_local", "default_base_url"):
            if hasattr(declaring, name):
                setattr(self, name, getattr(declaring, name))

    def __call__(self, config: AdapterConfig) -> RetryingAdapter:
        return RetryingAdapter(self._factory(config), self._attempts, self._longest_pause)


class RetryingAdapter:
    """An adapter around another one."""

    def __init__(self, inner: Adapter, attempts: int, longest_pause: float) -> None:
        self._inner: Final[Any] = inner
        self._longest_pause: Final = longest_pause
        self._backoff: Final = wait_random_exponential(multiplier=0.5, max=longest_pause)
        self._retrying: Final = AsyncRetrying(
            sleep=trio.sleep,
            stop=stop_after_attempt(attempts),
            wait=self._pause,
            retry=retry_if_exception(self._may_be_repeated),
            reraise=True,
        )

    async def start(self) -> None:
        """Start the inner adapter, where it has a start."""
        if callable(start := getattr(self._inner, "start", None)):
            await start()

    async def shutdown(self) -> None:
        """Shut the inner adapter down, where it has a shutdown."""
        if callable(shutdown := getattr(self._inner, "shutdown", None)):
            await shutdown()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Yield the events of the first attempt that is not to be repeated."""
        try:
            begun: _Begun = await self._retrying.copy()(self._begin, prompt, options)
        except AdapterError as error:
            # its frames have nothing to tell, and show the prompt
            yield StreamEvent("error", error.with_traceback(None))
            return
        first, events = begun
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await _close(events)

    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Pass a request on, once: what its repetition would do is known to its sender alone."""
        forward = getattr(self._inner, "forward", None)
        if not callable(forward):
            raise AdapterRequestError(f"a {type(self._inner).__name__} passes no requests on")
        passed: AbstractAsyncContextManager[ForwardResponse] = forward(request)
        return passed

    async def _begin(self, prompt: Sequence[Message], options: CallOptions) -> _Begun:
        """Make the call; return its first event, and the rest. Raises AdapterError if the first event is one."""
        events = self._inner.call(prompt, options)
        try:
            first = await anext(events, None)
            if first is None:
                raise AdapterProtocolError(f"a {type(self._inner).__name__} answered without an event")
            if isinstance(first.data, AdapterError):
                raise first.data
        except BaseException:
            await _close(events)
            raise
        return first, events

    def _may_be_repeated(self, error: BaseException) -> bool:
        if not isinstance(error, AdapterError) or not error.retryable or error.broken:
            return False
        return (error.retry_after or 0) <= self._longest_pause

    def _pause(self, state: RetryCallState) -> float:
        error = None if state.outcome is None else state.outcome.exception()
        asked = error.retry_after if isinstance(error, AdapterError) else None
        return max(self._backoff(state), asked or 0)


async def _close(events: AsyncIterator[StreamEvent]) -> None:
    if callable(close := getattr(events, "aclose", None)):
        await close()
