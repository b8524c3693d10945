"""What the adapters rely on, asked of the server itself: where a new version of it differs, these tests say so."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

from .llama_server import LlamaServer


def _stream(server: LlamaServer, model: str, tokens: int) -> Iterator[str]:
    """The lines of a streamed answer."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": tokens}
    url = f"{server.url}/v1/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=30) as answer:
        for line in answer:
            yield line.decode().strip()


def test_a_model_is_loaded_on_request_and_unloaded_on_request(server: LlamaServer) -> None:
    assert server.resident() == []
    server.load("model-a")
    assert server.resident() == ["model-a"]
    server.unload("model-a")
    assert server.resident() == []


def test_a_chat_with_the_other_model_swaps(server: LlamaServer) -> None:
    for model in ("model-a", "model-b", "model-a"):
        assert list(_stream(server, model, 3))[-2:] == ["data: [DONE]", ""]
        assert server.resident() == [model]
    assert server.loads()[-3:] == ["model-a", "model-b", "model-a"]


def test_a_killed_model_ends_its_answer_without_a_word_and_the_list_says_that_it_is_gone(server: LlamaServer) -> None:
    lines = _stream(server, "model-a", 5000)
    assert next(lines).startswith("data: {")
    server.kill_model()
    assert "data: [DONE]" not in list(lines)
    server.wait_gone("model-a")


def test_a_killed_server_comes_back_at_its_address(server: LlamaServer) -> None:
    address = server.url
    server.kill()
    server.start()
    assert (server.url, server.resident()) == (address, [])
