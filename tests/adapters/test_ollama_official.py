"""The official ``ollama`` client against the loopback server: what it reads there, it would read at a real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import ollama
import pytest
import trio

from simulation.mock.ollama import MockOllama
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile, ModelSpec

T = TypeVar("T")
HELLO = [{"role": "user", "content": "hello"}]
LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def mock(**options: int) -> MockOllama:
    models = [
        ModelSpec(
            name,
            load_seconds=0.01,
            unload_seconds=0,
            prefill_tokens_per_second=1e6,
            decode_tokens_per_second=1e4,
        )
        for name in ("small:latest", "large:latest")
    ]
    return MockOllama(models, LatencyProfile(jitter=0), **options)


async def ask(server: MockOllama, question: Callable[[ollama.Client], T]) -> T:
    def answered(url: str) -> T:
        with ollama.Client(url) as client:
            return question(client)

    async with serve(server, port=0) as url:
        return await trio.to_thread.run_sync(answered, url)


async def test_a_streamed_chat_and_a_whole_one_say_the_same() -> None:
    def question(client: ollama.Client) -> tuple[list[ollama.ChatResponse], ollama.ChatResponse]:
        stream = client.chat("small", HELLO, stream=True, options={"num_predict": 5})
        return list(stream), client.chat("small", HELLO, options={"num_predict": 5})

    chunks, whole = await ask(mock(), question)
    assert [chunk.done for chunk in chunks] == [False] * 5 + [True]
    assert "".join(chunk.message.content or "" for chunk in chunks) == whole.message.content
    assert (chunks[-1].done_reason, whole.done_reason) == ("length", "length")
    assert (whole.prompt_eval_count, whole.eval_count) == (2, 5)


async def test_thinking_comes_before_the_answer() -> None:
    def question(client: ollama.Client) -> list[ollama.ChatResponse]:
        return list(client.chat("small", HELLO, stream=True, think=True, options={"num_predict": 2}))

    kinds = [bool(chunk.message.thinking) for chunk in (await ask(mock(), question))[:-1]]
    assert kinds == [True] * 4 + [False] * 2


async def test_a_tool_is_called_and_its_result_is_answered() -> None:
    def question(client: ollama.Client) -> tuple[ollama.ChatResponse, ollama.ChatResponse]:
        first = client.chat("small", HELLO, tools=[LOOK])
        result = {"role": "tool", "tool_name": "look", "content": "a garden"}
        return first, client.chat("small", [*HELLO, first.message, result], tools=[LOOK], options={"num_predict": 3})

    first, second = await ask(mock(), question)
    assert [(call.function.name, call.function.arguments) for call in first.message.tool_calls or ()] == [
        ("look", {"place": "example"})
    ]
    assert second.message.content
    assert not second.message.tool_calls


async def test_what_is_loaded_is_listed_until_it_is_unloaded() -> None:
    def question(client: ollama.Client) -> list[list[str | None]]:
        def names() -> list[str | None]:
            return [model.model for model in client.ps().models]

        steps = [names()]
        loaded = client.generate("small", keep_alive=-1)
        assert (loaded.done, loaded.done_reason) == (True, "load")
        steps.append(names())
        client.generate("large", keep_alive="5m")
        steps.append(names())
        assert client.generate("large", keep_alive=0).done_reason == "unload"
        return [*steps, names()]

    server = mock()
    assert await ask(server, question) == [[], ["small:latest"], ["large:latest"], []]
    assert server.runners.evictions == 1
    assert server.runners.peak_loaded == 1


async def test_the_other_endpoints_answer_as_their_types_want() -> None:
    def question(client: ollama.Client) -> tuple[list[str | None], int, int, list[str] | None]:
        vectors = client.embed("small", ["one", "two"]).embeddings
        shown = client.show("small")
        return [m.model for m in client.list().models], len(vectors), len(vectors[0]), shown.capabilities

    names, vectors, width, capabilities = await ask(mock(), question)
    assert names == ["small:latest", "large:latest"]
    assert (vectors, width) == (2, 8)
    assert capabilities is not None
    assert "tools" in capabilities


@pytest.mark.parametrize(
    ("order", "status", "text"),
    [
        (lambda server: None, 404, "model 'none' not found"),
        (lambda server: server.faults.answer_next("/api/chat", 503, {"error": "server busy"}), 503, "server busy"),
    ],
)
async def test_errors_have_their_status_and_text(order: Callable[[MockOllama], None], status: int, text: str) -> None:
    def question(client: ollama.Client) -> ollama.ResponseError:
        with pytest.raises(ollama.ResponseError) as caught:
            client.chat("none", HELLO)
        return caught.value

    server = mock()
    order(server)
    error = await ask(server, question)
    assert (error.status_code, error.error) == (status, text)


async def test_an_error_in_mid_stream_is_raised_after_the_text_before_it() -> None:
    def question(client: ollama.Client) -> list[str | None]:
        texts = []
        with pytest.raises(ollama.ResponseError, match="has crashed"):
            for chunk in client.chat("small", HELLO, stream=True):
                texts.append(chunk.message.content)
        return texts

    server = mock()
    server.faults.break_next_stream("error", after_chunks=2)
    assert len(await ask(server, question)) == 2
