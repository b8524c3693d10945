"""To live with the gateway: a second signal, a new configuration while it runs, idle models that go."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from adapters.gateway.serve import open_gateway
from adapters.gateway.settings import settings_of
from simulation.mock.lmstudio.server import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile
from statemachine import ConfigurationError

from .served import GEMMA, MODELS, QWEN, served, until
from .test_process import first_line
from .test_waiting import CHAT, body, posted


@asynccontextmanager
async def running(settings: Path) -> AsyncIterator[tuple[trio.Process, str]]:
    """A gateway as a process, and its URL."""
    async with trio.open_nursery() as nursery:
        command = [sys.executable, "-m", "adapters", "serve", "--config", str(settings)]
        start = partial(trio.run_process, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        process = await nursery.start(start)
        try:
            yield process, await first_line(process)
        finally:
            if process.poll() is None:
                process.kill()


def written(path: Path, base_url: str, aliases: str = "", more: str = "") -> None:
    """Write a configuration for one server."""
    provider = f'[providers.studio]\nkind = "lmstudio"\nbase_url = "{base_url}"\n{more}'
    path.write_text(f"[gateway]\nport = 0\n{provider}[aliases]\n{aliases}", encoding="utf-8")


async def test_a_second_signal_ends_at_once_and_still_unloads(tmp_path: Path) -> None:
    server = MockLMStudio(MODELS, LatencyProfile(jitter=0))
    async with serve(server, port=0) as base_url:
        written(tmp_path / "gateway.toml", base_url)
        async with running(tmp_path / "gateway.toml") as (process, url):
            endless = json.dumps({**body(GEMMA), "max_tokens": 1_000_000}).encode()
            async with await posted(url, endless) as stream:
                assert b" 200 " in await stream.receive_some(4096)
                process.send_signal(signal.SIGTERM)
                async with httpx.AsyncClient(base_url=url) as client:
                    while (await client.get("/readyz")).status_code != 503:
                        await trio.lowlevel.checkpoint()
                assert process.poll() is None, "the answer is still being made"
                process.send_signal(signal.SIGTERM)
                with trio.fail_after(20):
                    assert await process.wait() == 0
        assert not server.resident


async def test_a_status_page_that_is_open_gets_a_proper_end(tmp_path: Path) -> None:
    server = MockLMStudio(MODELS, LatencyProfile(jitter=0))
    async with serve(server, port=0) as base_url:
        written(tmp_path / "gateway.toml", base_url)
        async with running(tmp_path / "gateway.toml") as (process, url), httpx.AsyncClient(base_url=url) as client:
            async with client.stream("GET", "/events", timeout=20) as response:
                lines = response.aiter_lines()
                await anext(lines)
                process.send_signal(signal.SIGTERM)
                async for _ in lines:  # raises where the end is missing
                    pass
            assert await process.wait() == 0


async def test_sighup_takes_over_aliases_and_keeps_what_it_had_where_there_is_an_error(tmp_path: Path) -> None:
    server, path = MockLMStudio(MODELS, LatencyProfile(jitter=0)), tmp_path / "gateway.toml"
    async with serve(server, port=0) as base_url:
        written(path, base_url, 'one = "studio/gemma"\n')
        async with running(path) as (process, url), httpx.AsyncClient(base_url=url) as client:

            async def after(aliases: str, more: str = "") -> tuple[str, set[str]]:
                written(path, base_url, aliases, more)
                process.send_signal(signal.SIGHUP)
                assert process.stderr is not None
                said = (await process.stderr.receive_some()).decode()
                return said, {row["id"] for row in (await client.get("/v1/models")).json()["data"]} - {GEMMA, QWEN}

            _, names = await after('two = "studio/qwen"\n')
            assert names == {"two"}
            said, names = await after('three = "nosuch/qwen"\n')
            assert "the configuration stays as it was: aliases.three" in said
            assert names == {"two"}
            said, names = await after('four = "studio/qwen"\n', "parallel = 3\n")
            assert "need a restart" in said
            assert names == {"two"}
            said, names = await after('five = "studio/qwen"\n')
            assert "was read again" in said
            assert names == {"five"}


async def test_limits_and_token_are_new_at_once() -> None:
    async with served() as here, httpx.AsyncClient(base_url=here.url) as client:
        here.gateway.reload(replace(here.gateway.settings, token="a-token-of-enough-characters", waiting_per_agent=0))
        assert (await client.get("/v1/models")).status_code == 401
        headers = {"Authorization": "Bearer a-token-of-enough-characters"}
        assert (await client.post(CHAT, json=body(GEMMA), headers=headers)).status_code == 429
        with pytest.raises(ConfigurationError, match="restart"):
            here.gateway.reload(replace(here.gateway.settings, token=None, fixed="something else"))
        assert (await client.get("/v1/models")).status_code == 401


async def test_an_idle_model_goes_in_time_unless_it_is_pinned() -> None:
    pinned, other = MockLMStudio(MODELS, LatencyProfile(jitter=0)), MockLMStudio(MODELS, LatencyProfile(jitter=0))
    async with serve(pinned, port=0) as pinned_url, serve(other, port=0) as other_url:
        common = {"kind": "lmstudio", "idle_timeout": 0.1, "preload": [GEMMA]}
        providers = {
            "pinned": {**common, "base_url": pinned_url, "pin": [GEMMA]},
            "other": {**common, "base_url": other_url},
        }
        manager = {"local_scope": "endpoint"}
        async with open_gateway(settings_of({"providers": providers, "manager": manager}, {})):
            await until(lambda: pinned.counters.loads == other.counters.loads == 1)
            await until(lambda: other.counters.unloads == 1)
            assert pinned.loaded, "it has been idle as long as the other one"
