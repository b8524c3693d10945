"""What the gateway costs: ``python -m benchmarks.gateway``.

The same streamed chat is sent straight to a mock LM Studio, through a bare proxy (``peers/bare_proxy.py``: the least that trio and h11
take), through a gateway, and through one that looks at the server's list before every request, which others do before the first in
``look_seconds``. That is done in turn, in one run: a process for each, and this one for the clients. Each way is taken once before it
counts. Told are the medians of the time to the first byte and of the time per chunk, at 1, 10 and 100 streams at a time, and what 1,000
waiting clients take of the gateway's memory.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import trio

from statemachine.shell.command import run_command
from statemachine.shell.options import option

__all__ = ["Options", "run"]

MODEL, OTHER = "bench-a", "bench-b"
TOKENS_PER_SECOND: Final = 200
STREAMS: Final = (1, 10, 100)
WAITERS: Final = 1000
URL: Final = re.compile(r"http://127\.0\.0\.1:\d+")
PATH: Final = "/v1/chat/completions"


class Timing(NamedTuple):
    """One stream, in milliseconds: from the request to the first chunk, and per chunk after it."""

    first: float
    chunk: float


@asynccontextmanager
async def process(command: Sequence[str], marker: bytes) -> AsyncIterator[tuple[int, str]]:
    """Run a Python module until the end of the block, which gets its pid and its URL, said in a line with ``marker``."""
    running = await trio.lowlevel.open_process([sys.executable, "-m", *command], stdout=subprocess.PIPE)
    assert running.stdout is not None
    try:
        said = b""
        while marker not in said or not said.endswith(b"\n"):
            piece = await running.stdout.receive_some()
            assert piece, said
            said += piece
        yield running.pid, URL.findall(said.decode())[-1]
    finally:
        running.terminate()
        with trio.CancelScope(shield=True):
            await running.wait()


def request(model: str, tokens: int, agent: str = "bench") -> bytes:
    """One streamed chat, as the bytes of its request."""
    chat = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": tokens}
    body = json.dumps(chat).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: bench\r\nX-Agent-ID: {agent}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def connected(url: str) -> trio.SocketStream:
    """A connection of its own."""
    parts = urlsplit(url)
    return await trio.open_tcp_stream(parts.hostname or "", parts.port or 80)


async def timed(url: str, tokens: int) -> Timing:
    """Send one chat over a connection that is open already, and time its answer."""
    async with await connected(url) as stream:
        began, first, last, chunks, tail = trio.current_time(), 0.0, 0.0, 0, b""
        await stream.send_all(request(MODEL, tokens))
        async for piece in stream:
            last = trio.current_time()
            if not chunks:
                first = last
            chunks += piece.count(b"data: ")
            tail = (tail + piece)[-200:]
            if b"data: [DONE]" in tail and tail.endswith(b"0\r\n\r\n"):
                break
        assert chunks > tokens, "the answer is whole"
        return Timing(1000 * (first - began), 1000 * (last - first) / (chunks - 1))


async def measured(urls: dict[str, str], streams: int, rounds: int, tokens: int) -> dict[str, Any]:
    """Alternate between the ways; return the medians, and what is added to the first one."""
    timings: dict[str, list[Timing]] = {name: [] for name in urls}

    async def one(name: str) -> None:
        timings[name].append(await timed(urls[name], tokens))

    for name in urls:
        await timed(urls[name], tokens)
    for _ in range(rounds):
        for name in urls:
            async with trio.open_nursery() as nursery:
                for _ in range(streams):
                    nursery.start_soon(one, name)
    medians = {
        name: Timing(median(t.first for t in all_), median(t.chunk for t in all_)) for name, all_ in timings.items()
    }
    straight = medians["straight"]
    added = {name: timing for name, timing in medians.items() if name != "straight"}
    return {
        "streams": streams,
        "first_ms": {name: round(timing.first, 3) for name, timing in medians.items()},
        "first_added_ms": {name: round(timing.first - straight.first, 3) for name, timing in added.items()},
        "chunk_ms": {name: round(timing.chunk, 3) for name, timing in medians.items()},
        "chunk_added_percent": {
            name: round(100 * (timing.chunk / straight.chunk - 1), 1) for name, timing in added.items()
        },
    }


def resident_kib(pid: int) -> int:
    """What a process has in memory (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


async def waiting_memory(url: str, pid: int) -> dict[str, Any]:
    """Let :data:`WAITERS` clients wait for a model while another one answers; return what that takes."""
    async with await connected(url) as holder, trio.open_nursery() as nursery:
        await holder.send_all(request(MODEL, 1_000_000))
        await holder.receive_some(65536)
        before = resident_kib(pid)
        for number in range(WAITERS):
            nursery.start_soon(_wait, url, f"agent-{number % 50}")
        with trio.fail_after(60):
            for _ in count():
                if (waiting := await _waiting(url)) >= WAITERS:
                    break
                await trio.sleep(0.2)  # the gateway is another process
        after = resident_kib(pid)
        nursery.cancel_scope.cancel()
    return {"waiting": waiting, "before_mib": round(before / 1024, 1), "added_mib": round((after - before) / 1024, 1)}


async def _wait(url: str, agent: str) -> None:
    async with await connected(url) as stream:
        await stream.send_all(request(OTHER, 5, agent))
        async for _ in stream:
            pass


async def _waiting(url: str) -> int:
    async with await connected(url) as stream:
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        text = b""
        while b"llm_slots_waiting_requests " not in text or not text.endswith(b"\n"):
            text += await stream.receive_some(65536)
    line = next(line for line in text.splitlines() if line.startswith(b"llm_slots_waiting_requests "))
    return int(float(line.split()[1]))


async def compared(rounds: int, tokens: int) -> dict[str, Any]:
    """Measure everything."""
    rates = ["--decode-rate", str(TOKENS_PER_SECOND), "--prefill-rate", "1000000", "--load-seconds", "0.1"]
    mock = ["simulation", "serve", "--port", "0", "--model", MODEL, "--model", OTHER, "--parallel", "128", *rates]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            process(mock, b"serves") as (_, server),
            process(["benchmarks.peers.bare_proxy", server], b"listening on") as (_, bare),
            gateway(folder / "seldom.toml", server, look_seconds=60) as (pid, seldom),
            gateway(folder / "always.toml", server, look_seconds=0) as (_, always),
        ):
            urls = {"straight": server, "bare": bare, "gateway": seldom, "gateway, looking": always}
            rows = [await measured(urls, streams, max(2, rounds // streams), tokens) for streams in STREAMS]
            return {"streams": rows, "memory": await waiting_memory(seldom, pid)}


@asynccontextmanager
async def gateway(settings: Path, server: str, look_seconds: float) -> AsyncIterator[tuple[int, str]]:
    """Run a gateway before ``server``; the block gets its pid and its URL. Its model is loaded."""
    provider = f'[providers.mock]\nkind = "lmstudio"\nbase_url = "{server}"\nparallel = 128\n'
    options = f"options = {{ look_seconds = {look_seconds} }}\n"
    await trio.Path(settings).write_text(f"[gateway]\nport = 0\nowned_file = false\n{provider}{options}")
    async with process(["adapters", "serve", "--config", str(settings)], b"listening on") as (pid, url):
        await timed(url, 1)
        yield pid, url


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much is measured."""

    rounds: int = option(30, "streams of each way, at least two rounds", least=1, most=10_000)
    tokens: int = option(50, "tokens of an answer", least=2, most=10_000)


def run(options: Options) -> int:
    """Measure, and print the figures as JSON. Returns the exit status."""
    print(json.dumps(trio.run(compared, options.rounds, options.tokens), indent=2))
    return 0


if __name__ == "__main__":
    summary = "Measure what the gateway costs."
    sys.exit(run_command("python -m benchmarks.gateway", "benchmarks.gateway", summary, sys.argv[1:], extra="dev"))
