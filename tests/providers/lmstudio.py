"""The mock LM Studio for these tests: in process under a clock that jumps, or on a socket for programs that run on no trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from adapters.providers import LMStudioSingleton, get_lmstudio_singleton
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.threaded import serve_in_a_thread
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import LatencyProfile, ModelSpec

A, B, C = "maker/model-a", "maker/model-b", "maker/model-c"
URL = "http://localhost:1234"
LOAD_SECONDS, UNLOAD_SECONDS = 10.0, 1.0
SHORT: Mapping[str, Any] = {"max_tokens": 3}


def mock(load_seconds: float = LOAD_SECONDS, unload_seconds: float = UNLOAD_SECONDS, **settings: Any) -> MockLMStudio:
    """A server that has the three models, and takes exactly so long."""
    models = [ModelSpec(key, load_seconds=load_seconds, unload_seconds=unload_seconds) for key in (A, B, C)]
    return MockLMStudio(models, LatencyProfile(jitter=0, tokens_per_chunk=100), **settings)


def ids(server: MockLMStudio) -> list[str]:
    """What is resident there."""
    return [instance.id for instance in server.resident.values()]


@asynccontextmanager
async def opened(server: MockLMStudio, url: str = URL, **settings: Any) -> AsyncIterator[LMStudioSingleton]:
    """The singleton of ``server``, in process."""
    async with StreamingTransport(server) as transport:
        async with get_lmstudio_singleton(url, transport=transport, **settings) as singleton:
            yield singleton


def on_a_socket(server: MockLMStudio | None = None) -> AbstractContextManager[str]:
    """The base URL of a server that runs in a thread of its own, in a block."""
    return serve_in_a_thread(server or fast())


def fast(**settings: Any) -> MockLMStudio:
    """A server that takes next to no time, for tests in real time."""
    models = [
        ModelSpec(
            key,
            load_seconds=0.01,
            unload_seconds=0.01,
            prefill_tokens_per_second=1e6,
            decode_tokens_per_second=1e6,
        )
        for key in (A, B, C)
    ]
    return MockLMStudio(models, LatencyProfile(jitter=0, tokens_per_chunk=100), **settings)
