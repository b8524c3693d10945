"""More members of the kinds of faults around loads and unloads, by their numbers: of Ollama and llama.cpp's router, on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters import LlamaCppAdapter, OllamaAdapter
from statemachine import AdapterConfig, AdapterError, ModelLoadError

from .loopback import Loopback, Reply, Request, json_reply, loopback
from .studio import LOAD, make, studio

LOADED, UNLOADED = "loaded", "unloaded"
DONE = {"model": "m", "response": "", "done": True, "done_reason": "load"}


def lines(*objects: dict[str, Any]) -> Reply:
    return Reply(["".join(f"{json.dumps(each)}\n" for each in objects).encode()], headers={"Content-Type": "x-ndjson"})


class Ollama:
    """``load``: what it answers to a load, which succeeds where it is no error; ``name``: what it calls the model."""

    def __init__(self, load: Reply | None = None, name: str = "m:latest", *, succeeds: bool = True) -> None:
        self.load = load or json_reply(DONE)
        self.name = name
        self.succeeds = succeeds
        self.loaded = False

    def handle(self, request: Request) -> Reply:
        if request.path == "/api/ps":
            return json_reply({"models": [{"name": self.name, "model": self.name}] if self.loaded else None})
        if request.json.get("keep_alive") == 0:
            self.loaded = False
            return lines({"done": False}, DONE)
        self.loaded = self.succeeds
        return self.load


@asynccontextmanager
async def served(handle: Callable[[Request], Reply]) -> AsyncIterator[Loopback]:
    async with loopback(handle) as server:
        yield server


def ollama(server: Loopback, model: str = "m") -> OllamaAdapter:
    return OllamaAdapter(
        AdapterConfig("ollama", model, {"base_url": server.url, "load_timeout": 5, "unload_timeout": 5})
    )


@pytest.mark.parametrize(
    ("model", "name"),
    [("M", "m:latest"), ("m", "M:latest"), ("library/m", "m:latest"), ("registry.ollama.ai/library/m:7b", "m:7b")],
)
async def test_f16_ollamas_other_names_of_a_model(model: str, name: str) -> None:
    state = Ollama(name=name)
    async with served(state.handle) as server:
        adapter = ollama(server, model)
        await adapter.start()
        await adapter.shutdown()
    assert not state.loaded


async def test_f09_a_load_answered_by_a_stream_that_was_not_asked_for() -> None:
    state = Ollama(lines({"response": "", "done": False}, DONE))
    async with served(state.handle) as server:
        adapter = ollama(server)
        await adapter.start()
        await adapter.shutdown()
    assert not state.loaded


@pytest.mark.parametrize(
    ("reply", "retryable"),
    [
        (lines({"response": "", "done": False}, {"error": "unable to load model: /x"}), False),
        (json_reply({"error": "model requires more system memory (5.6 GiB) than is available (3.1 GiB)"}, 500), False),
        (json_reply({"success": False, "message": "no"}), False),
        (json_reply({"error": "out of luck"}, 500), True),
    ],
)
async def test_f27_f28_a_load_that_fails_says_why(reply: Reply, retryable: bool) -> None:
    state = Ollama(reply, succeeds=False)
    async with served(state.handle) as server:
        adapter = ollama(server)
        with pytest.raises(ModelLoadError) as caught:
            await adapter.start()
        await adapter.shutdown()
    assert caught.value.retryable is retryable


async def test_f28_lm_studios_guardrail_is_not_worth_another_try() -> None:
    text = "Model loading was stopped due to insufficient system resources."
    async with studio() as (state, server):
        state.said[LOAD] = [json_reply({"error": {"type": "model_load_failed", "message": text}}, 500)]
        adapter = make(server)
        with pytest.raises(ModelLoadError) as caught:
            await adapter.start()
        await adapter.shutdown()
    assert not caught.value.retryable


class Router:
    """``states``: how it writes the states; ``load``: what it answers to a load."""

    def __init__(self, write: Callable[[str], Any], load: Reply | None = None) -> None:
        self.write = write
        self.load = load or json_reply({"success": True})
        self.state = UNLOADED

    def handle(self, request: Request) -> Reply:
        if request.path == "/models":
            return json_reply({"data": [{"id": "m", "status": self.write(self.state)}]})
        self.state = LOADED if request.path == "/models/load" else UNLOADED
        return self.load if request.path == "/models/load" else json_reply({"success": True})


def llama(server: Loopback) -> LlamaCppAdapter:
    return LlamaCppAdapter(
        AdapterConfig("llama", "m", {"base_url": server.url, "load_timeout": 5, "unload_timeout": 5})
    )


@pytest.mark.parametrize("write", [str.upper, str.title, lambda state: {"value": state.upper()}])
async def test_f21_states_in_capitals(write: Callable[[str], Any]) -> None:
    router = Router(write)
    async with served(router.handle) as server:
        adapter = llama(server)
        await adapter.start()
        await adapter.shutdown()
    assert router.state == UNLOADED


async def test_f28_already_loaded_in_other_words_is_used_and_left() -> None:
    refusal = json_reply(
        {"error": {"code": 400, "message": "Model already loaded", "type": "invalid_request_error"}}, 400
    )
    router = Router(lambda state: state, refusal)
    async with served(router.handle) as server:
        adapter = llama(server)
        await adapter.start()
        await adapter.shutdown()
    assert router.state == LOADED


@pytest.mark.parametrize("failed", [True, "true", 1])
async def test_f27_a_load_that_ends_as_failed(failed: Any) -> None:
    router = Router(lambda state: {"value": UNLOADED, "failed": failed, "exit_code": 132})
    async with served(router.handle) as server:
        adapter = llama(server)
        with pytest.raises(AdapterError, match="exit code 132"):
            await adapter.start()
        await adapter.shutdown()
