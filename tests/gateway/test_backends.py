"""Every kind of server behind the gateway, asked by its own official client, and the paths that it does not have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx
import ollama
import pytest
import trio

from adapters.gateway.serve import listening, open_gateway
from adapters.gateway.settings import settings_of
from simulation.mock.anthropic.server import MockAnthropic
from simulation.mock.llamacpp.server import MockLlamaCpp
from simulation.mock.ollama.server import MockOllama
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile

from .served import GEMMA, MODELS, QWEN
from .test_clients import ask, in_thread

KEY = "a-key-of-the-server"
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}


@asynccontextmanager
async def before(server: Any, kind: str, **provider: Any) -> AsyncIterator[str]:
    """Run a gateway before ``server``; the block gets its URL."""
    async with serve(server, port=0) as base_url:
        providers = {"one": {"kind": kind, "base_url": base_url, **provider}}
        settings = settings_of({"gateway": {"port": 0}, "providers": providers}, {"KEY": KEY})
        async with open_gateway(settings) as gateway, listening(gateway) as url:
            yield url


async def test_llama_cpp() -> None:
    async with MockLlamaCpp(MODELS, LatencyProfile(jitter=0)).running() as server, before(server, "llamacpp") as url:
        assert await in_thread(lambda: ask(url, GEMMA))
        assert await in_thread(lambda: ask(url, QWEN))


async def test_ollama_by_its_own_client_and_by_openais() -> None:
    async with before(MockOllama(MODELS, LatencyProfile(jitter=0)), "ollama") as url:

        def chat() -> str:
            with ollama.Client(host=url) as client:
                (name, *_) = [row.model for row in client.list().models if row.model]
                messages = [ollama.Message(role="user", content="hello")]
                pieces = client.chat(model=name, messages=messages, stream=True, options={"num_predict": 5})
                return "".join(piece.message.content or "" for piece in pieces)

        def unknown() -> None:
            with ollama.Client(host=url) as client:
                with pytest.raises(ollama.ResponseError) as caught:
                    client.chat(model="nosuch", messages=[])
                assert caught.value.status_code == 404

        assert await in_thread(chat)
        await in_thread(unknown)


async def test_anthropic_gets_the_servers_key_and_not_the_clients() -> None:
    server = MockAnthropic(["claude"], api_key=KEY)
    async with before(server, "anthropic", key_env="KEY", models=["claude"]) as url:

        def message() -> str:
            with anthropic.Anthropic(base_url=url, api_key="the-clients-key", max_retries=0, timeout=20) as client:
                with client.messages.stream(
                    model="claude", max_tokens=5, messages=[{"role": "user", "content": "hello"}]
                ) as stream:
                    return "".join(stream.text_stream)

        assert await in_thread(message)


@pytest.mark.parametrize(
    ("path", "member"), [("/api/chat", "error"), ("/v1/messages", "type"), ("/v1/chat/completions", "error")]
)
async def test_a_path_that_the_server_does_not_have_is_501_in_its_dialect(path: str, member: str) -> None:
    kind, server = ("anthropic", MockAnthropic(["m"])) if "chat" in path else ("openai", MockAnthropic(["m"]))
    async with before(server, kind, models=["m"]) as url, httpx.AsyncClient(base_url=url) as client:
        response = await client.post(path, json={"model": "m", **CHAT})
        assert response.status_code == 501
        assert member in response.json()


async def test_a_server_that_is_down_is_502_at_once() -> None:
    providers = {"one": {"kind": "llamacpp", "base_url": "http://127.0.0.1:9"}}
    settings = settings_of({"gateway": {"port": 0}, "providers": providers}, {})
    with trio.fail_after(20):
        async with (
            open_gateway(settings) as gateway,
            listening(gateway) as url,
            httpx.AsyncClient(base_url=url) as client,
        ):
            response = await client.post("/v1/chat/completions", json={"model": "m", **CHAT}, timeout=20)
            assert (response.status_code, response.json()["error"]["code"]) == (502, "backend_unreachable")
