"""A gateway on a socket, before a mock LM Studio on another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import trio

from adapters.gateway.gateway import Gateway
from adapters.gateway.recording import Recorder
from adapters.gateway.serve import listening, open_gateway
from adapters.gateway.settings import settings_of
from simulation.mock.lmstudio.server import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine.journal.writer import Journal

GEMMA, QWEN = "gemma", "qwen"
MODELS = tuple(
    ModelSpec(key, load_seconds=0.05, unload_seconds=0.02, prefill_tokens_per_second=1e5, decode_tokens_per_second=2000)
    for key in (GEMMA, QWEN)
)


@dataclass(frozen=True)
class Served:
    """The gateway, its URL, and the server behind it."""

    gateway: Gateway
    url: str
    server: MockLMStudio


def document(base_url: str, **gateway: Any) -> dict[str, Any]:
    """The configuration for one mock server."""
    return {
        "gateway": {"port": 0, **gateway},
        "providers": {"studio": {"kind": "lmstudio", "base_url": base_url, "parallel": 2}},
        "aliases": {"quick": f"studio/{GEMMA}"},
    }


@asynccontextmanager
async def served(
    *,
    models: tuple[ModelSpec, ...] = MODELS,
    manager: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    journal: Journal | None = None,
    recorder: Recorder | None = None,
    **gateway: Any,
) -> AsyncIterator[Served]:
    """Run both for the length of the block."""
    server = MockLMStudio(models, LatencyProfile(jitter=0))
    async with serve(server, port=0) as base_url:
        settings = settings_of({**document(base_url, **gateway), "manager": dict(manager or {})}, environment or {})
        async with open_gateway(settings, journal=journal, recorder=recorder) as opened, listening(opened) as url:
            yield Served(opened, url, server)


async def until(condition: Callable[[], bool]) -> None:
    """Return when ``condition()`` holds. It is looked at whenever the other tasks have had their turn; the test's time-out bounds it."""
    for _ in count():
        if condition():
            return
        await trio.sleep(0.005)  # sockets are real, so time has to pass
