"""The commands ``models``, ``load``, ``unload`` and ``chat`` by a gateway."""

from __future__ import annotations

import json
import math

import pytest
import trio

from adapters.__main__ import main
from adapters.gateway.running import client_environment
from statemachine import RuntimeProviderConfig

from .served import GEMMA, QWEN, served

TOKEN = "a-token-of-enough-characters"


async def run(*words: str) -> int:
    """Run a command beside the servers."""
    return await trio.to_thread.run_sync(main, words)


async def test_models_are_listed_loaded_asked_and_unloaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_SLOTS_TOKEN", TOKEN)
    async with served(token_env="TOKEN", environment={"TOKEN": TOKEN}) as here:
        at = ("--gateway", here.url)
        assert await run("load", *at, GEMMA) == 0
        assert [instance.model.key for instance in here.server.loaded] == [GEMMA]
        assert here.gateway.manager.statistics().counters.grants == 1, "the load was a lease"
        capsys.readouterr()
        assert await run("models", *at, "--json") == 0
        rows = {row["model"]: row["state"] for row in json.loads(capsys.readouterr().out)}
        assert rows == {GEMMA: "loaded", "quick": "-", QWEN: "-"}
        assert await run("chat", *at, QWEN, "hello", "--max-tokens", "5") == 0
        assert capsys.readouterr().out.strip()
        assert [instance.model.key for instance in here.server.loaded] == [QWEN], "it stays until another one is needed"
        assert await run("unload", *at, "--all") == 0
        assert not here.server.loaded
        assert await run("unload", *at, QWEN) != 0
        assert "is not loaded" in capsys.readouterr().err


async def test_what_run_starts_asks_its_gateway_as_its_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as here:
        for name, value in client_environment(here.url, "ann lee", None).items():
            monkeypatch.setenv(name, value)
        assert await run("chat", GEMMA, "hello", "--max-tokens", "5") == 0
        assert [row.agent for row in here.gateway.agents] == ["ann lee"]
        assert await run("models") == 0


async def test_what_is_in_use_is_not_unloaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_SLOTS_TOKEN", TOKEN)
    async with served(token_env="TOKEN", environment={"TOKEN": TOKEN}) as here:
        async with here.gateway.manager.acquire(RuntimeProviderConfig("studio", GEMMA), timeout=math.inf):
            assert await run("unload", "--gateway", here.url, GEMMA) != 0
            assert "is not loaded and idle" in capsys.readouterr().err
        assert here.server.loaded


async def test_an_unload_without_a_token_is_refused_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with served() as here:
        assert await run("load", "--gateway", here.url, GEMMA) == 0
        assert await run("unload", "--gateway", here.url, GEMMA) != 0
        assert "error: " in capsys.readouterr().err
        assert here.server.loaded


async def test_the_gateway_s_refusals_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with served() as here:
        assert await run("load", "--gateway", here.url, "nosuch") != 0
        assert "no model of this name" in capsys.readouterr().err
        assert await run("chat", "--gateway", here.url, "nosuch", "hello") != 0
        assert "no model of this name" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["models", "load", "unload", "chat"])
def test_a_gateway_and_a_server_are_not_asked_at_once(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = {"models": [], "load": ["m"], "unload": ["m"], "chat": ["m", "hello"]}[command]
    assert main([command, "--gateway", "http://127.0.0.1:9", "--provider", "ollama", *more]) == 2
    assert "provider: must not be given with --gateway" in capsys.readouterr().err
    assert main([command, "--gateway", "nowhere", *more]) == 2
    assert "gateway: must be an http or https URL" in capsys.readouterr().err
