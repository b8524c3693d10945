"""Another provider where one fails: an ordered list of choices, of which the first that works answers::

    fallback = Fallback(engine, [RuntimeProviderConfig("local", "small"), RuntimeProviderConfig("openai", "gpt-x")])
    async with fallback.call(prompt, CallOptions()) as stream:
        async for event in stream: ...

The next one is tried only where nothing of an answer has been handed on. A choice that failed several times in a row is left out for a
while (its cool-down); if all are, the one whose cool-down ends first is tried. It knows nothing of adapters: it stands on the engine.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

import trio

from statemachine.checks import check_count, check_timeout
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import (
    AdapterError,
    AdapterInstantiationError,
    AdapterRequestError,
    AuthenticationError,
    ConfigurationError,
    ContentionError,
    ModelNotFoundError,
    ProviderManagerError,
)

__all__ = ["AnyEngine", "Fallback"]


class AnyEngine(Protocol):
    """What makes the calls: a ReasoningEngine, or an object with the same ``call``."""

    def call(
        self, prompt: Sequence[Message], options: CallOptions
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamEvent]]: ...


@dataclass(slots=True)
class _Choice:
    config: RuntimeProviderConfig
    failures: int = 0  # in a row
    cool_at: float = 0.0


class Fallback:
    """Calls the first of ``choices`` that works. Raises ConfigurationError.

    ``failures`` in a row make a choice cool down for ``cooldown`` seconds, or as long as its server asks (``Retry-After``). Failures
    are: no instance to be had, a server that cannot be reached or is busy, refused credentials, a model that is not there, a broken answer.
    A request that is refused as it stands would be refused elsewhere, too, and is told at once.
    """

    def __init__(
        self, engine: AnyEngine, choices: Sequence[RuntimeProviderConfig], *, failures: int = 3, cooldown: float = 5.0
    ) -> None:
        if not choices:
            raise ConfigurationError("choices", "must not be empty", "none")
        check_count("failures", failures)
        check_timeout("cooldown", cooldown)
        self._engine: Final = engine
        self._choices: Final = [_Choice(config) for config in choices]
        self._failures: Final = failures
        self._cooldown: Final = cooldown

    @asynccontextmanager
    async def call(
        self, prompt: Sequence[Message], options: CallOptions
    ) -> AsyncGenerator[AsyncGenerator[StreamEvent, None], None]:
        """Give the block the events of the first choice that answers; ``options.provider_config`` is replaced.

        Raises the error of the last one.
        """
        last: ProviderManagerError | None = None
        for choice in self._in_order():
            async with AsyncExitStack() as stack:
                try:
                    made = self._engine.call(prompt, replace(options, provider_config=choice.config))
                    events = await stack.enter_async_context(made)
                    first = await anext(events, None)
                except (AdapterError, AdapterInstantiationError, ContentionError) as error:
                    if not _helps(error):
                        raise
                    last = error
                    self._failed(choice, error)
                    continue
                choice.failures = 0
                yield _all(first, events)
                return
        assert last is not None, "there is at least one choice"
        raise last

    def _in_order(self) -> list[_Choice]:
        """Return the choices that are not cooling down, as they were given; else the one that cools down first."""
        now = trio.current_time()
        return [c for c in self._choices if c.cool_at <= now] or [min(self._choices, key=lambda c: c.cool_at)]

    def _failed(self, choice: _Choice, error: ProviderManagerError) -> None:
        choice.failures += 1
        asked = error.retry_after if isinstance(error, AdapterError) else None
        if choice.failures >= self._failures or asked:
            choice.cool_at = trio.current_time() + max(self._cooldown, asked or 0)


def _helps(error: ProviderManagerError) -> bool:
    """Return whether another provider might not fail in the same way."""
    if isinstance(error, (AuthenticationError, ModelNotFoundError)):
        return True
    return not isinstance(error, AdapterRequestError)


async def _all(first: StreamEvent | None, rest: AsyncIterator[StreamEvent]) -> AsyncGenerator[StreamEvent, None]:
    if first is not None:
        yield first
    async for event in rest:
        yield event
