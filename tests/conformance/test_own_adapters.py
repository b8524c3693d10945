"""Our own adapters are checked as anybody's: on mock servers in virtual time, with a back door and every fault that the wire can have."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import trio

from adapters import AnthropicAdapter, FakeAdapter, LlamaCppAdapter, LMStudioAdapter, OllamaAdapter, OpenAIAdapter
from adapters.conformance import Capabilities, Subject, check
from adapters.conformance.faults import CALL_FAULTS, FAULTS
from simulation.mock.anthropic import MockAnthropic
from simulation.mock.llamacpp import MockLlamaCpp
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.ollama import MockOllama
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine import Adapter, AdapterConfig

from .meddling import MeddledSubject, Meddler, anthropic_text, native_text, ollama_text, openai_text, responses_text

MODELS = ("maker/model-a", "maker/model-b")
TOKEN = "sk-lm-abcdefgh:0123456789abcdefghij"
SILENCE_SECONDS, SHUTDOWN_SECONDS = 8, 25


class FakeSubject(Subject):
    capabilities: ClassVar[Capabilities] = Capabilities(
        needs_start=True, parallel=4, repeatable=True, deterministic_clock=True, secret_options=("api_token",)
    )
    models: ClassVar[Sequence[str]] = MODELS
    options: ClassVar[Mapping[str, Any]] = {"api_token": TOKEN, "load_seconds": 2, "token_seconds": 0.1}

    def adapter(self, config: AdapterConfig) -> Adapter:
        return FakeAdapter(config)


def _openai_error(kind: str, message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _by_path(kinds: Mapping[str, str]) -> Callable[[str, bytes], str]:
    return lambda path, body: kinds.get(path, "")


OPENAI_REFUSALS: Mapping[str, tuple[int, Any]] = {
    "busy": (503, _openai_error("server_error", "try again later")),
    "refused": (400, _openai_error("invalid_request_error", "temperature must be a number")),
    "unauthorised": (401, _openai_error("invalid_request_error", "the token TOKEN is not known", "invalid_api_key")),
    "denied": (404, _openai_error("invalid_request_error", "no such model", "model_not_found")),
    "error_body": (200, {"error": "Unexpected endpoint or method. (POST /v1/chat/completions)"}),
}
OPENAI_ERROR = b'data: {"error":{"message":"something went wrong","code":500}}\n\n'


class LMStudioSubject(MeddledSubject):
    capabilities: ClassVar[Capabilities] = Capabilities(
        local=True,
        loads_models=True,
        parallel=4,
        repeatable=True,
        deterministic_clock=True,
        silence_seconds=SILENCE_SECONDS,
        shutdown_seconds=SHUTDOWN_SECONDS,
        buffer_pieces=4,
        tool_calls=True,
        secret_options=("api_token",),
    )
    models: ClassVar[Sequence[str]] = MODELS
    options: ClassVar[Mapping[str, Any]] = {"api_token": TOKEN, "read_timeout": SILENCE_SECONDS, "load_timeout": 20}
    parameters: ClassVar[Mapping[str, Any]] = {"max_tokens": 12}
    faults: ClassVar[Collection[str]] = tuple(FAULTS)

    def __init__(self) -> None:
        models = [ModelSpec(key, load_seconds=3, unload_seconds=1) for key in MODELS]
        self.server = MockLMStudio(models, LatencyProfile(jitter=0), api_token=TOKEN)
        self.meddler = Meddler(
            self.server,
            _by_path(
                {"/v1/chat/completions": "chat", "/api/v1/models/load": "load", "/api/v1/models/unload": "unload"}
            ),
            refusals=OPENAI_REFUSALS,
            error_frame=OPENAI_ERROR,
        )
        self.meddler.evict = self._evict

    def adapter(self, config: AdapterConfig) -> Adapter:
        return LMStudioAdapter(config, transport=self.line)

    def text(self, body: bytes) -> str:
        return openai_text(body)

    async def probe_resident(self) -> Collection[str]:
        return list(self.server.resident)

    async def plant(self, fault: str) -> None:
        if fault == "load_fails":
            self.server.faults.fail_next_load()
        if fault == "foreign":
            await self.server.load(self.server.models[MODELS[0]], {})

    async def _evict(self) -> None:
        for instance in self.server.loaded:
            await self.server.unload(instance)


class OpenAISubject(LMStudioSubject):
    capabilities: ClassVar[Capabilities] = Capabilities(
        parallel=4,
        repeatable=True,
        deterministic_clock=True,
        silence_seconds=SILENCE_SECONDS,
        buffer_pieces=4,
        tool_calls=True,
        secret_options=("api_token",),
    )
    options: ClassVar[Mapping[str, Any]] = {
        "api_token": TOKEN,
        "base_url": "http://server/v1",
        "read_timeout": SILENCE_SECONDS,
    }
    faults: ClassVar[Collection[str]] = tuple(fault for fault in CALL_FAULTS if fault != "evicted")

    async def probe_resident(self) -> Collection[str]:
        return ()

    def adapter(self, config: AdapterConfig) -> Adapter:
        return OpenAIAdapter(config, transport=self.line)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        for model in self.server.models.values():
            await self.server.load(model, {})
        async with super().serving():
            yield


class ResponsesSubject(OpenAISubject):
    """The same endpoint, asked for responses."""

    options: ClassVar[Mapping[str, Any]] = {**OpenAISubject.options, "api": "responses"}

    def __init__(self) -> None:
        super().__init__()
        self.meddler.kind = _by_path({"/v1/responses": "chat"})
        self.meddler.frames_before = 7  # four of them have no text

    def text(self, body: bytes) -> str:
        return responses_text(body)


class NativeSubject(LMStudioSubject):
    """LM Studio's own chat, which takes no tools."""

    capabilities: ClassVar[Capabilities] = replace(LMStudioSubject.capabilities, tool_calls=False)
    options: ClassVar[Mapping[str, Any]] = {**LMStudioSubject.options, "api": "native"}
    heard = Subject.heard  # it takes no earlier answers

    def __init__(self) -> None:
        super().__init__()
        paths = {"/api/v1/chat": "chat", "/api/v1/models/load": "load", "/api/v1/models/unload": "unload"}
        self.meddler.kind = _by_path(paths)
        self.meddler.frames_before = 12  # those before tell how far the prompt is
        self.meddler.error_frame = b"event: error\n" + OPENAI_ERROR

    def text(self, body: bytes) -> str:
        return native_text(body)


OLLAMA_REFUSALS: Mapping[str, tuple[int, Any]] = {
    "busy": (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
    "refused": (400, {"error": "invalid options: temperature must be a number"}),
    "unauthorised": (401, {"error": "the token TOKEN is not known"}),
    "denied": (404, {"error": "model 'maker/model-a' not found"}),
    "error_body": (200, {"error": "something went wrong"}),
}


def _ollama_kind(path: str, body: bytes) -> str:
    if path == "/api/chat":
        return "chat"
    if path != "/api/generate":
        return ""
    return "unload" if json.loads(body).get("keep_alive") == 0 else "load"


class OllamaSubject(LMStudioSubject):
    models: ClassVar[Sequence[str]] = ("model-a:latest", "model-b:latest")
    parameters: ClassVar[Mapping[str, Any]] = {"num_predict": 12}

    def __init__(self) -> None:
        models = [ModelSpec(key, load_seconds=3, unload_seconds=1) for key in self.models]
        self.ollama = MockOllama(models, LatencyProfile(jitter=0))
        self.meddler = Meddler(
            self.ollama,
            _ollama_kind,
            blank=b"\n",
            refusals=OLLAMA_REFUSALS,
            error_frame=b'{"error":"something went wrong"}\n',
        )
        self.meddler.evict = self._evict

    def adapter(self, config: AdapterConfig) -> Adapter:
        return OllamaAdapter(config, transport=self.line)

    def text(self, body: bytes) -> str:
        return ollama_text(body)

    async def probe_resident(self) -> Collection[str]:
        return list(self.ollama.runners.loaded)

    async def plant(self, fault: str) -> None:
        if fault == "load_fails":
            self.ollama.faults.fail_next_load()
        if fault == "foreign":
            async with self.ollama.runners.use(self.ollama.models[self.models[0]], {}, 300):
                pass

    async def _evict(self) -> None:
        for name in list(self.ollama.runners.loaded):
            self.ollama.runners.drop(name)


class LlamaCppSubject(LMStudioSubject):
    capabilities: ClassVar[Capabilities] = replace(
        LMStudioSubject.capabilities, needs_start=True, tool_calls=False
    )  # the mock server calls none

    def __init__(self) -> None:
        models = [ModelSpec(key, load_seconds=3, unload_seconds=1) for key in MODELS]
        self.llama = MockLlamaCpp(models, LatencyProfile(jitter=0))
        self.meddler = Meddler(
            self.llama,
            _by_path({"/v1/chat/completions": "chat", "/models/load": "load", "/models/unload": "unload"}),
            refusals=OPENAI_REFUSALS,
            error_frame=OPENAI_ERROR,
        )
        self.meddler.evict = self._evict

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with self.llama.running(), super().serving():
            yield

    def adapter(self, config: AdapterConfig) -> Adapter:
        return LlamaCppAdapter(config, transport=self.line)

    async def probe_resident(self) -> Collection[str]:
        return [name for name, child in self.llama.router.children.items() if child.state != "unloaded"]

    async def plant(self, fault: str) -> None:
        if fault == "load_fails":
            self.llama.faults.fail_next_load()
        if fault == "foreign":
            self.llama.router.load(MODELS[0])
            await trio.sleep(4)

    async def _evict(self) -> None:
        for name in await self.probe_resident():
            self.llama.router.kill(name)


def _anthropic_error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


ANTHROPIC_REFUSALS: Mapping[str, tuple[int, Any]] = {
    "busy": (529, _anthropic_error("overloaded_error", "Overloaded")),
    "refused": (400, _anthropic_error("invalid_request_error", "temperature: must be a number")),
    "unauthorised": (401, _anthropic_error("authentication_error", "invalid x-api-key TOKEN")),
    "denied": (404, _anthropic_error("not_found_error", "model: maker/model-a")),
    "error_body": (200, _anthropic_error("api_error", "something went wrong")),
}


class AnthropicSubject(OpenAISubject):
    options: ClassVar[Mapping[str, Any]] = {"api_token": TOKEN, "read_timeout": SILENCE_SECONDS}

    def __init__(self) -> None:
        server = MockAnthropic(MODELS, api_key=TOKEN, first_token_seconds=0.2, token_seconds=0.05)
        self.meddler = Meddler(
            server,
            _by_path({"/v1/messages": "chat"}),
            refusals=ANTHROPIC_REFUSALS,
            error_frame=b"event: error\ndata: " + json.dumps(ANTHROPIC_REFUSALS["error_body"][1]).encode() + b"\n\n",
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with MeddledSubject.serving(self):
            yield

    def adapter(self, config: AdapterConfig) -> Adapter:
        return AnthropicAdapter(config, transport=self.line)

    def text(self, body: bytes) -> str:
        return anthropic_text(body)


OUR_SUBJECTS = (
    FakeSubject,
    LMStudioSubject,
    OllamaSubject,
    LlamaCppSubject,
    OpenAISubject,
    AnthropicSubject,
    ResponsesSubject,
    NativeSubject,
)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("subject", OUR_SUBJECTS)
def test_our_adapter_keeps_every_rule(subject: type[Subject]) -> None:
    report = check(subject, name=f"{__name__}:{subject.__name__}", examples=5, seconds=300)
    assert report.failed == [], report.table()
    assert [verdict.rule.id for verdict in report.verdicts if verdict.outcome == "UNDETERMINED"] == []
