"""R16: odd bodies to the mocks of Ollama, llama.cpp and Anthropic: 400 or an answer, never an error, never memory without end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp
from trio.testing import MockClock

from simulation.mock.anthropic.server import MockAnthropic
from simulation.mock.http import MAX_BODY_BYTES
from simulation.mock.llamacpp.server import MockLlamaCpp
from simulation.mock.ollama.server import MockOllama
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import ModelSpec

from .mock_server import EXACT
from .test_odd_bodies import changed, places

MODEL = ModelSpec("m", load_seconds=1)
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"required": ["a"], "properties": {"a": {"type": "number"}}}},
}
TURN = {"role": "user", "content": "x"}
PARTS = {"role": "user", "content": [{"type": "tool_result", "content": "x"}]}
BODIES: dict[str, dict[str, dict[str, Any]]] = {
    "ollama": {
        "/api/chat": {
            "model": "m",
            "messages": [TURN],
            "tools": [TOOL],
            "options": {"num_predict": 3, "num_ctx": 9},
            "think": True,
            "keep_alive": "5m",
        },
        "/api/generate": {"model": "m", "prompt": "x", "options": {"num_predict": 3}, "keep_alive": 5},
        "/api/embed": {"model": "m", "input": ["x"]},
        "/api/show": {"model": "m"},
    },
    "llamacpp": {
        "/v1/chat/completions": {
            "model": "m",
            "messages": [TURN],
            "max_tokens": 3,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        "/models/load": {"model": "m"},
        "/models/unload": {"model": "m"},
    },
    "anthropic": {
        "/v1/messages": {
            "model": "m",
            "messages": [PARTS],
            "tools": [{"name": "f", "input_schema": {"required": ["a"]}}],
            "max_tokens": 3,
            "thinking": {"type": "enabled"},
            "stream": True,
        },
        "/v1/messages/count_tokens": {"model": "m", "messages": [TURN]},
    },
}
ODD: list[Any] = [
    None,
    True,
    -1,
    10**12,
    10**399,
    0.5,
    "",
    "x",
    "\ud800",
    "9" * 5000,
    [],
    [None],
    ["x"],
    [{}],
    {},
    {"a": 1},
]


@asynccontextmanager
async def client_of(name: str) -> AsyncIterator[httpx.AsyncClient]:
    llama = MockLlamaCpp([MODEL], EXACT)
    apps: dict[str, ASGIApp] = {
        "ollama": MockOllama([MODEL], EXACT),
        "llamacpp": llama,
        "anthropic": MockAnthropic(["m"]),
    }
    headers = {"Content-Type": "application/json", "anthropic-version": "1"}
    async with llama.running(), StreamingTransport(apps[name]) as transport:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:1", timeout=None, headers=headers
        ) as client:
            yield client


@pytest.mark.parametrize("name", BODIES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_r16_whatever_a_member_is_it_is_answered_or_refused(name: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(BODIES[name])))
    good = BODIES[name][path]
    body = changed(good, data.draw(st.sampled_from(places(good))), data.draw(st.sampled_from(ODD)))

    async def ask() -> None:
        async with client_of(name) as client:
            if not path.endswith("unload"):
                assert (await client.post(path, json=good)).status_code == 200
            for content in (json.dumps(body), json.dumps(data.draw(st.sampled_from(ODD)))):
                answer = await client.post(path, content=content)
                assert answer.status_code in (200, 400, 404)
                assert len(answer.content) < 20_000

    trio.run(ask, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("name", BODIES)
async def test_r16_a_body_without_end_is_refused(name: str, autojump_clock: MockClock) -> None:
    async with client_of(name) as client:
        for path in BODIES[name]:
            answer = await client.post(path, content=b'{"model": "' + b"x" * MAX_BODY_BYTES + b'"}')
            assert answer.status_code in (400, 404)
