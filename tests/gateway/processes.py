"""The gateway and a mock LM Studio as processes, which can be killed, and clients over bare sockets, which can vanish."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import trio

__all__ = [
    "CHAT",
    "MODELS",
    "PATIENCE_SECONDS",
    "ask",
    "at_rest",
    "gateway_command",
    "instances",
    "mock_command",
    "process",
]

MODELS: Final = ("maker/a", "maker/b")
CHAT: Final = "/v1/chat/completions"
ACQUIRE_SECONDS: Final = 60
PATIENCE_SECONDS: Final = 3 * ACQUIRE_SECONDS
"""No client, and no process that is to end, may take longer than that."""
_URL: Final = re.compile(rb"http://127\.0\.0\.1:(\d+)")


def mock_command(port: int = 0) -> list[str]:
    """A server with two models that are loaded quickly."""
    models = [word for model in MODELS for word in ("--model", model)]
    return ["simulation", "serve", "--port", str(port), "--load-seconds", "0.05", "--decode-rate", "500", *models]


def gateway_command(folder: Path, base_url: str, log: Path | None = None) -> list[str]:
    """A gateway before the server at ``base_url``; its configuration is written to ``folder``.

    Its times are the usual ones but for that of a lease: on a machine that has other things to do, an unload may take seconds.
    """
    provider = f'[providers.studio]\nkind = "lmstudio"\nbase_url = "{base_url}"\nparallel = 2\n'
    times = f"acquire_timeout = {ACQUIRE_SECONDS}\n"
    owned = f'owned_file = "{folder / "owned.jsonl"}"\n'
    (folder / "gateway.toml").write_text(f"[gateway]\nport = 0\n{owned}[manager]\n{times}{provider}", encoding="utf-8")
    journal = [] if log is None else ["--log", str(log)]
    return ["adapters", "serve", "--config", str(folder / "gateway.toml"), *journal]


@asynccontextmanager
async def process(command: list[str]) -> AsyncIterator[tuple[trio.Process, str]]:
    """Run a Python module; the block gets the process and its URL. It is terminated at the end, and must then end by itself."""
    running = await trio.lowlevel.open_process(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert running.stdout is not None
    try:
        said = b""
        while not (found := _URL.findall(said)) or (b"listening on" not in said and b"serves" not in said):
            piece = await running.stdout.receive_some()
            assert piece, f"{command} has ended: {said!r}"
            said += piece
        yield running, f"http://127.0.0.1:{int(found[-1])}"
    finally:
        with trio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                running.terminate()
            with trio.move_on_after(PATIENCE_SECONDS):
                await running.wait()
            if running.returncode is None:
                running.kill()
                await running.wait()
                raise AssertionError(f"{command} does not end")


async def ask(url: str, model: str, agent: str, *, tokens: int = 20, leave_after: int | None = None) -> str:
    """Ask for one stream, and return how it ended: ``answered``, ``left``, ``broken``, ``refused`` and the status, or ``in stream``.

    After ``leave_after`` pieces the connection is reset, as the kernel does for a process that was killed.
    """
    chat = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": tokens}
    body = json.dumps(chat).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nX-Agent-ID: {agent}\r\nContent-Length: {len(body)}\r\n\r\n"
    port = int(url.rpartition(":")[2])
    answer, pieces = b"", 0
    try:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(head.encode() + body)
            while not answer.endswith(b"0\r\n\r\n"):
                if leave_after is not None and pieces >= leave_after:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return "left"
                piece = await stream.receive_some(65536)
                if not piece:
                    return "broken"
                answer, pieces = answer + piece, pieces + 1
                if not answer.startswith(b"HTTP/1.1 200"):
                    return f"refused {answer[9:12].decode()}"
    except OSError:
        return "broken"
    except trio.BrokenResourceError:
        return "broken"
    return "answered" if b"data: [DONE]" in answer else "in stream"


async def at_rest(url: str) -> Mapping[str, Any]:
    """Return the gateway's status when no request is under way. Raises AssertionError where a lease or a waiter is left."""
    async with httpx.AsyncClient(base_url=url) as client:
        for _ in count():
            picture = (await client.get("/status")).json()
            if not picture["under_way"]:
                break
            await trio.sleep(0.05)  # a client that has just vanished is noticed in a moment
    (slot,) = picture["slots"].values()
    assert (slot["leases"], slot["waiting"], slot["assigned"], picture["queue"]) == (0, 0, 0, [])
    return dict(picture)


async def instances(server: str) -> list[str]:
    """Return the ids of what is loaded on the mock."""
    async with httpx.AsyncClient(base_url=server) as client:
        rows = (await client.get("/api/v1/models")).json()["models"]
    return [instance["id"] for row in rows for instance in row["loaded_instances"]]
