"""LlamaCppAdapter keeps the rules of the conformance suite on a real server, in real time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from adapters import LlamaCppAdapter
from adapters.conformance import Capabilities, Subject, check
from statemachine import Adapter, AdapterConfig

from .conftest import MODELS, only_tiny
from .llama_server import LlamaServer


class RealSubject(Subject):
    """The server of the tests. It is the same for every program, so a program begins with nothing loaded."""

    capabilities: ClassVar[Capabilities] = Capabilities(local=True, loads_models=True, needs_start=True, parallel=4)
    models: ClassVar[Sequence[str]] = MODELS
    options: ClassVar[Mapping[str, Any]] = {}
    parameters: ClassVar[Mapping[str, Any]] = {"max_tokens": 12, "temperature": 0}
    server: ClassVar[LlamaServer]

    def __init__(self) -> None:
        self.server.empty()

    def adapter(self, config: AdapterConfig) -> Adapter:
        return LlamaCppAdapter(config)

    async def probe_resident(self) -> Collection[str]:
        return self.server.resident()


@only_tiny
@pytest.mark.timeout(120)
def test_llamacpp_adapter_keeps_the_rules(server: LlamaServer) -> None:
    class Bound(RealSubject):
        options: ClassVar[Mapping[str, Any]] = {"base_url": server.url}

    Bound.server = server
    report = check(Bound, name="tests.real.test_conformance:RealSubject", examples=10, seconds=30)
    assert report.failed == [], report.table()
