"""The official ``openai`` client against the loopback llama.cpp server; the real server has tests of its own (``tests/real``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import openai
import pytest
import trio
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from simulation.mock.llamacpp import MockLlamaCpp
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile, ModelSpec

T = TypeVar("T")


def mock() -> MockLlamaCpp:
    models = [ModelSpec(name, load_seconds=0.01, unload_seconds=0, decode_tokens_per_second=1e4) for name in "ab"]
    return MockLlamaCpp(models, LatencyProfile(jitter=0))


async def ask(server: MockLlamaCpp, question: Callable[[openai.OpenAI], T]) -> T:
    def answered(url: str) -> T:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            return question(client)

    async with server.running(), serve(server, port=0) as url:
        return await trio.to_thread.run_sync(answered, url)


async def test_a_streamed_chat_and_a_whole_one_say_the_same_and_a_chat_swaps() -> None:
    def question(client: openai.OpenAI) -> tuple[list[ChatCompletionChunk], ChatCompletion]:
        stream = client.chat.completions.create(
            model="a", messages=[{"role": "user", "content": "hi"}], max_tokens=5, stream=True
        )
        chunks = list(stream)
        whole = client.chat.completions.create(model="b", messages=[{"role": "user", "content": "hi"}], max_tokens=5)
        return chunks, whole

    server = mock()
    chunks, whole = await ask(server, question)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert server.router.log == ["a", "b"]
    assert server.router.peak_resident == 1


async def test_models_are_listed_and_an_unknown_one_is_refused() -> None:
    def question(client: openai.OpenAI) -> list[str]:
        with pytest.raises(openai.BadRequestError, match="model 'none' not found"):
            client.chat.completions.create(model="none", messages=[{"role": "user", "content": "hi"}])
        return [model.id for model in client.models.list()]

    assert await ask(mock(), question) == ["a", "b"]
