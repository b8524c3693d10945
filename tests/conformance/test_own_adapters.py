"""Our own adapters are checked as anybody's: on mock servers in virtual time, with a back door and every fault that the wire can have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from adapters import FakeAdapter, LMStudioAdapter, OpenAIAdapter
from adapters.conformance import Capabilities, Subject, check
from adapters.conformance.faults import CALL_FAULTS, FAULTS
from simulation.mock.lmstudio import MockLMStudio
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine import Adapter, AdapterConfig

from .meddling import MeddledSubject, Meddler, openai_text

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
            "/v1/chat/completions",
            load="/api/v1/models/load",
            unload="/api/v1/models/unload",
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
        secret_options=("api_token",),
    )
    options: ClassVar[Mapping[str, Any]] = {
        "api_token": TOKEN,
        "base_url": "http://server/v1",
        "read_timeout": SILENCE_SECONDS,
    }
    faults: ClassVar[Collection[str]] = tuple(fault for fault in CALL_FAULTS if fault != "evicted")

    def adapter(self, config: AdapterConfig) -> Adapter:
        return OpenAIAdapter(config, transport=self.line)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        for model in self.server.models.values():
            await self.server.load(model, {})
        async with super().serving():
            yield


@pytest.mark.parametrize("subject", [FakeSubject, LMStudioSubject, OpenAISubject])
def test_our_adapter_keeps_every_rule(subject: type[Subject]) -> None:
    report = check(subject, name=f"{__name__}:{subject.__name__}", examples=15, seconds=300)
    assert report.failed == [], report.table()
    assert [verdict.rule.id for verdict in report.verdicts if verdict.outcome == "UNDETERMINED"] == []
