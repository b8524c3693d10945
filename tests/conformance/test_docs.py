"""The adapter of docs/conformance.md, against the server of the page: what the page says about it is so, as a new user types it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from adapters.conformance import check
from statemachine import AdapterConfig, AdapterRequestError, CallOptions, Message, StreamEvent

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
LINES_OF_AN_ADAPTER = 40


def _block(name: str) -> str:
    """The code of the page that begins with the comment ``# name``."""
    found = re.search(rf"```python\n(# {re.escape(name)}\n.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _serving(folder: Path, port: int) -> Iterator[None]:
    (folder / "server.py").write_text(_block("server.py").replace("8000", str(port)))
    server = subprocess.Popen([sys.executable, "server.py"], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.wait()


def test_the_adapter_of_the_page_keeps_every_rule_by_one_command(tmp_path: Path, port: int) -> None:
    adapter = _block("mine.py").replace("8000", str(port))
    assert adapter.count("\n") <= LINES_OF_AN_ADAPTER
    (tmp_path / "mine.py").write_text(adapter)
    command = ["-m", "adapters", "conformance", "mine:MyAdapter", "--declare", "parallel=4", "--declare", "repeatable"]
    with _serving(tmp_path, port):
        done = subprocess.run(
            [sys.executable, *command, "--examples", "0"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mine:MyAdapter: 21 PASS, 0 FAIL, 21 SKIPPED, 0 UNDETERMINED" in done.stdout


def test_without_a_server_nothing_is_judged(tmp_path: Path, port: int) -> None:
    (tmp_path / "mine.py").write_text(_block("mine.py").replace("8000", str(port)))
    done = subprocess.run(
        [sys.executable, "-m", "adapters", "conformance", "mine:MyAdapter"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"no call is taken: AdapterConnectError: http://localhost:{port}: ConnectError" in done.stdout
    assert "--option base_url=URL" in done.stdout


class PlainHttpxAdapter:
    """The same with httpx alone, as the page tells of it."""

    def __init__(self, config: AdapterConfig) -> None:
        self.client = httpx.AsyncClient(base_url=config.options["base_url"], limits=httpx.Limits(max_connections=None))

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        if self.client.is_closed:
            raise AdapterRequestError("the adapter is shut down")
        async with self.client.stream("POST", "/chat", json={"messages": list(prompt)}) as response:
            async for line in response.aiter_lines():
                if "done" in line:
                    yield StreamEvent("end", "stop")
                    return
                yield StreamEvent("token", line)

    async def shutdown(self) -> None:
        await self.client.aclose()


def test_httpx_alone_leaves_generators_to_the_garbage_collector(tmp_path: Path, port: int) -> None:
    with _serving(tmp_path, port):
        report = check(PlainHttpxAdapter, options={"base_url": f"http://127.0.0.1:{port}"}, examples=0)
    assert report.failed == ["no-leftovers"]
    assert report.exit_code == 0
