"""Managers and calls for the tests with the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from adapters import LlamaCppAdapter
from statemachine import (
    AdapterError,
    CallOptions,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
)

PROMPT = [{"role": "user", "content": "hello"}]
PROVIDER = "llama"


@asynccontextmanager
async def engine(url: str, adapter: Any = LlamaCppAdapter, **options: Any) -> AsyncIterator[ReasoningEngine]:
    """An engine over one provider: the server at ``url``, as a local slot, or as an API of one instance at a time."""
    base = {"base_url": url, **options}
    kind: dict[str, Any] = {"is_local": True} if adapter.is_local else {"limit": 1}
    provider = ProviderConfig(PROVIDER, adapter, base_options=base, **kind)
    async with ProviderManager(ProviderManagerConfig([provider], on_conflict="wait")) as manager:
        yield ReasoningEngine(manager)


async def answer(
    engine: ReasoningEngine,
    model: str,
    tokens: int = 20,
    *,
    begun: trio.Event | None = None,
    log: list[str] | None = None,
    stream: bool = True,
) -> list[StreamEvent]:
    """The events of one call for exactly ``tokens`` tokens. ``begun`` is set at the first; ``log`` is told when it begins and ends."""
    events: list[StreamEvent] = []
    exactly = {"max_tokens": tokens, "ignore_eos": True}
    options = CallOptions(RuntimeProviderConfig(PROVIDER, model), stream=stream, parameters=exactly)
    async with engine.call(PROMPT, options) as reading:
        async for event in reading:
            if not events and log is not None:
                log.append(f"{model} begins")
            events.append(event)
            if begun is not None and event.type == "token":
                begun.set()
    if log is not None:
        log.append(f"{model} ends")
    return events


async def failure(
    engine: ReasoningEngine, model: str, tokens: int = 20, *, begun: trio.Event | None = None
) -> AdapterError:
    """The error of one call, which must fail."""
    try:
        events = await answer(engine, model, tokens, begun=begun)
    except AdapterError as error:
        return error
    raise AssertionError(f"the call did not fail: {events[-1]}")


def tokens(events: list[StreamEvent]) -> int:
    """How many tokens the server says that it made."""
    made = [event.data["usage"]["completion_tokens"] for event in events if isinstance(event.data, Mapping)]
    return int(made[-1])
