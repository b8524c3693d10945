"""The mock LM Studio server in this process, and a client of it: what its tests share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import trio

from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import LatencyProfile, ModelSpec

EXACT = LatencyProfile(jitter=0)
ALPHA = ModelSpec(
    "lab/alpha",
    load_seconds=10,
    unload_seconds=2,
    prefill_tokens_per_second=100,
    decode_tokens_per_second=10,
    parallel=2,
)
BETA = replace(ALPHA, key="beta")
LOAD, UNLOAD, CHAT = "/api/v1/models/load", "/api/v1/models/unload", "/v1/chat/completions"


@asynccontextmanager
async def connected(server: MockLMStudio) -> AsyncIterator[httpx.AsyncClient]:
    async with StreamingTransport(server) as transport:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:1234", timeout=None) as client:
            yield client


def chat(model: str = "lab/alpha", prompt: str = "x" * 400, **more: Any) -> dict[str, Any]:
    """A request of 100 prompt tokens: one second alone."""
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 10, **more}


async def load(client: httpx.AsyncClient, model: str = "lab/alpha", **config: int) -> str:
    response = await client.post(LOAD, json={"model": model, **config})
    assert response.status_code == 200
    instance_id: str = response.json()["instance_id"]
    return instance_id


async def frames(response: httpx.Response) -> list[Any]:
    """The data of each server-sent event, with the time of its arrival."""
    return [
        (trio.current_time(), line.removeprefix("data: "))
        async for line in response.aiter_lines()
        if line.startswith("data: ")
    ]


async def streamed(client: httpx.AsyncClient, **more: Any) -> list[Any]:
    """The chunks of a streamed chat, without the closing [DONE]."""
    async with client.stream("POST", CHAT, json=chat(stream=True, **more)) as response:
        assert response.headers["content-type"] == "text/event-stream"
        *chunks, (_, last) = await frames(response)
    assert last == "[DONE]"
    return [json.loads(data) for _, data in chunks]


def text_of(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


async def leave(client: httpx.AsyncClient, seconds: float, path: str, body: dict[str, Any]) -> None:
    """Make a request and go away after ``seconds``."""
    with trio.move_on_after(seconds) as scope:
        await client.post(path, json=body)
    assert scope.cancelled_caught
