"""The mock server that the clients talk to, and what they ask of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeAlias

import trio

from simulation.mock.lmstudio import DownloadedModel, MockLMStudio
from simulation.mock.serve import serve

__all__ = ["CHAT_MODEL", "EMBEDDING_MODEL", "QUESTION", "REASONING_MODEL", "WEATHER", "Calls", "judged", "verdicts"]

Calls: TypeAlias = Mapping[str, Callable[[str], None]]

CHAT_MODEL: Final = "lab/chat"
REASONING_MODEL: Final = "lab/reasoning"
EMBEDDING_MODEL: Final = "text-embedding-lab"
QUESTION: Final = "What is the weather in Paris?"
WEATHER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


def _fast(key: str, **more: Any) -> DownloadedModel:
    model = DownloadedModel(key, **more)
    return replace(model, load_seconds=0, unload_seconds=0, prefill_tokens_per_second=1e9, decode_tokens_per_second=1e9)


@asynccontextmanager
async def judged() -> AsyncIterator[str]:
    """The server's URL. It answers at once, and keeps all its models loaded."""
    models = [_fast(CHAT_MODEL), _fast(REASONING_MODEL, reasons=True), _fast(EMBEDDING_MODEL, kind="embedding")]
    async with serve(MockLMStudio(models, auto_evict=False), port=0) as url:
        yield url


async def verdicts(calls: Calls, url: str) -> dict[str, BaseException | None]:
    """What each call failed with, made one after the other, in threads: clients on asyncio have a loop of their own there."""
    outcome: dict[str, BaseException | None] = {}
    for name, call in calls.items():
        try:
            await trio.to_thread.run_sync(call, url)
        except Exception as error:
            outcome[name] = error
        else:
            outcome[name] = None
    return outcome
