"""The mock server, an adapter for it, and something between the two: what the tests of LMStudioAdapter share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from starlette.types import Message, Receive, Scope, Send

from adapters import LMStudioAdapter
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine import AdapterConfig, CallOptions, StreamEvent

A, B = "maker/model-a", "maker/model-b"
PROMPT = [{"role": "user", "content": "hello there"}]
TOKEN = "sk-lm-abcdefgh:0123456789abcdefghij"
LOAD_SECONDS = 10.0


def mock(**options: Any) -> MockLMStudio:
    models = [ModelSpec(key, load_seconds=LOAD_SECONDS, unload_seconds=1.0) for key in (A, B)]
    return MockLMStudio(models, LatencyProfile(jitter=0), **options)


def make(transport: StreamingTransport, model: str = A, **options: Any) -> LMStudioAdapter:
    return LMStudioAdapter(AdapterConfig("lmstudio", model, options), transport=transport)


@asynccontextmanager
async def started(app: Any, model: str = A, **options: Any) -> AsyncIterator[LMStudioAdapter]:
    async with StreamingTransport(app) as transport:
        adapter = make(transport, model, **options)
        await adapter.start()
        yield adapter
        await adapter.shutdown()


async def answer(adapter: LMStudioAdapter, **options: Any) -> list[StreamEvent]:
    events = [event async for event in adapter.call(PROMPT, CallOptions(**options))]
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    return events


def ids(server: MockLMStudio) -> list[str]:
    return [instance.id for instance in server.resident.values()]


class Proxy:
    """The server, with something between it and its client.

    ``losing``: the answers of these paths are cut when they are ready; ``silent``: this path is never answered; ``answers``: these
    are, with status 200.
    """

    def __init__(
        self, server: MockLMStudio, *losing: str, silent: str | None = None, answers: Mapping[str, object] | None = None
    ) -> None:
        self.server = server
        self.losing = losing
        self.silent = silent
        self.answers = dict(answers or {})
        self.requests: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.requests.append(path)
        if path == self.silent:
            await trio.sleep_forever()
        if path in self.answers:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
            )
            await send(
                {"type": "http.response.body", "body": json.dumps(self.answers[path]).encode(), "more_body": False}
            )
        elif path in self.losing:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await self.server(scope, receive, _nowhere)
        else:
            await self.server(scope, receive, send)


async def _nowhere(message: Message) -> None:
    await trio.lowlevel.checkpoint()
