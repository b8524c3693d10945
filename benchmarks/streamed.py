"""A streamed call through engine, adapter and loopback against bare httpx and the official openai client, on the same server.

The mock server is a process of its own. Paced, it makes tokens as fast as a small local model does, and what is told is how much longer
a call takes. Unpaced, it makes them as fast as it can, and what is told is the processor time of this side alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import openai
import trio

from adapters import LMStudioAdapter
from statemachine import CallOptions, ProviderConfig, ProviderManager, ProviderManagerConfig, ReasoningEngine
from statemachine import RuntimeProviderConfig as Model

from .measuring.environments import ROOT
from .measuring.results import load, write
from .measuring.rounds import Side, against, alternate

__all__ = ["measure"]

TOKENS: Final = 200
PACES: Final = {"paced, 100 tokens per second": 100, "unpaced": 1_000_000}
CALLS: Final = {100: 1, 1_000_000: 10}
MODEL: Final = "bench"
BODY: Final = {"model": MODEL, "messages": [{"role": "user", "content": "go"}], "max_tokens": TOKENS, "stream": True}


def measure(folder: Path, rounds: int) -> Path:
    """Measure and write ``streamed.json``."""
    before = load()
    figures: dict[str, Any] = {"tokens": TOKENS}
    for kind, pace in PACES.items():
        with _server(pace) as url:
            sides = {name: Side(f"benchmarks.streamed:{function}", (url, pace)) for name, function in SIDES.items()}
            timings, _ = alternate(sides, rounds)
        for what in ("wall", "processor"):
            figures[f"{kind}, {what}"] = against({n: [f[what] for f in fs] for n, fs in timings.items()}, "httpx", 1e3)
    return write(folder, "streamed", figures, load_before=before)


SIDES: Final = {
    "ours": "ours",
    "httpx": "bare",
    "openai client": "official",
    "openai client on asyncio": "official_asyncio",
}


@contextmanager
def _server(pace: int) -> Iterator[str]:
    rates = ["--decode-rate", str(pace), "--prefill-rate", "1000000", "--load-seconds", "0"]
    command = [sys.executable, "-m", "simulation", "serve", "--port", "0", "--model", MODEL, "--parallel", "8", *rates]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[0]
        finally:
            server.kill()


def ours(url: str, pace: int) -> Callable[[], dict[str, float]]:
    """Engine, manager and LM Studio's adapter, opened once a round, the model loaded."""

    async def run() -> dict[str, float]:
        provider = ProviderConfig("local", LMStudioAdapter, is_local=True, base_options={"base_url": url})
        async with ProviderManager(ProviderManagerConfig([provider], on_conflict="wait")) as manager:
            engine = ReasoningEngine(manager)
            options = CallOptions(Model("local", MODEL), parameters={"max_tokens": TOKENS})

            async def call() -> int:
                async with engine.call([{"role": "user", "content": "go"}], options) as events:
                    return sum([event.type == "token" async for event in events])

            return await _timed(call, pace)

    return lambda: trio.run(run)


def bare(url: str, pace: int) -> Callable[[], dict[str, float]]:
    """The least that a program of one's own does: httpx, a line at a time, JSON of each."""

    async def run() -> dict[str, float]:
        async with httpx.AsyncClient(timeout=60) as client:

            async def call() -> int:
                tokens = 0
                async with client.stream("POST", url + "/v1/chat/completions", json=BODY) as response:
                    async for line in response.aiter_lines():
                        if line.startswith("data: {"):
                            tokens += bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))
                return tokens

            return await _timed(call, pace)

    return lambda: trio.run(run)


def official(url: str, pace: int, backend: str = "trio") -> Callable[[], dict[str, float]]:
    """The official client, on trio as we are."""

    async def run() -> dict[str, float]:
        async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="none") as client:

            async def call() -> int:
                stream = await client.chat.completions.create(**BODY)  # type: ignore[call-overload]
                return sum([bool(chunk.choices and chunk.choices[0].delta.content) async for chunk in stream])

            return await _timed(call, pace)

    return lambda: anyio.run(run, backend=backend)


def official_asyncio(url: str, pace: int) -> Callable[[], dict[str, float]]:
    """The official client, on asyncio as most use it."""
    return official(url, pace, "asyncio")


async def _timed(call: Callable[[], Awaitable[int]], pace: int) -> dict[str, float]:
    assert await call() == TOKENS, "the answer is whole"
    calls = CALLS[pace]
    began, used = time.perf_counter(), time.process_time()
    for _ in range(calls):
        await call()
    return {"wall": (time.perf_counter() - began) / calls, "processor": (time.process_time() - used) / calls}
