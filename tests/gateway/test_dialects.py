"""Refusals in the caller's dialect, on every forwarded path: before the answer, and inside a stream that comments have begun."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from adapters.gateway.dialects import ANTHROPIC, LM_STUDIO, OLLAMA
from adapters.gateway.routes import FORWARDED
from statemachine import RuntimeProviderConfig

from .served import GEMMA, QWEN, served

MESSAGE: Mapping[str, Callable[[Any], object]] = {
    OLLAMA.name: lambda body: body["error"],
    ANTHROPIC.name: lambda body: body["type"] == "error" and body["error"]["message"],
    LM_STUDIO.name: lambda body: body["error"]["message"],
}


def message_of(path: str, body: Any) -> object:
    """What a client of the path's dialect reads of an error."""
    return MESSAGE.get(FORWARDED[path].dialect.name, MESSAGE[LM_STUDIO.name])(body)


def asking(path: str, model: object) -> dict[str, Any]:
    return {"model": model, "messages": [], "input": "hello", "prompt": "hello", "stream": True}


@pytest.mark.parametrize("path", FORWARDED)
async def test_every_path_refuses_in_its_own_dialect(path: str) -> None:
    async with served() as here, httpx.AsyncClient(base_url=here.url, timeout=20) as client:
        for body, status, word in (
            (asking(path, "nosuch"), 404, "no model of this name"),
            (asking(path, 3), 400, "model"),
            ([], 400, "JSON object"),
        ):
            answer = await client.post(path, json=body)
            assert (answer.status_code, word in str(message_of(path, answer.json()))) == (status, True), answer.text
        here.gateway.draining.set()
        closing = await client.post(path, json=asking(path, GEMMA))
        assert (closing.status_code, closing.headers["retry-after"]) == (503, "1")
        assert "closing" in str(message_of(path, closing.json()))
        wrong = await client.get(path)
        assert wrong.status_code == 405
        assert message_of(path, wrong.json())


@pytest.mark.parametrize("path", [path for path, route in FORWARDED.items() if "lmstudio" in route.backends])
async def test_every_path_tells_a_refusal_in_the_stream_in_its_own_dialect(path: str) -> None:
    async with served(comment_seconds=0.02, manager={"acquire_timeout": 0.3}) as here:
        async with (
            httpx.AsyncClient(base_url=here.url, timeout=20) as client,
            here.gateway.manager.acquire(RuntimeProviderConfig("studio", GEMMA), timeout=math.inf),
        ):
            answer = await client.post(path, json=asking(path, QWEN))
    assert answer.status_code == 200
    assert answer.text.startswith(": queued, position 1 of 1")
    last = json.loads(answer.text.rstrip().rpartition("data: ")[2])
    assert "0.3" in json.dumps(last), last


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false"])
async def test_a_client_that_chokes_on_comments_switches_them_off(word: str) -> None:
    async with served(comment_seconds=0.02, manager={"acquire_timeout": 0.3}) as here:
        async with (
            httpx.AsyncClient(base_url=here.url, timeout=20, headers={"X-Queue-Comments": word}) as client,
            here.gateway.manager.acquire(RuntimeProviderConfig("studio", GEMMA), timeout=math.inf),
        ):
            answer = await client.post("/v1/chat/completions", json=asking("/v1/chat/completions", QWEN))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "queue_timeout")
