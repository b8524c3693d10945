"""The lists of models, as the official clients and each server's own list show them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import ollama
import pytest
import trio

from adapters.gateway.serve import listening, open_gateway
from adapters.gateway.settings import settings_of
from simulation.mock.lmstudio.server import MockLMStudio
from simulation.mock.ollama.server import MockOllama
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile
from statemachine import RuntimeProviderConfig

from .served import GEMMA, MODELS, QWEN


@asynccontextmanager
async def before_two() -> AsyncIterator[tuple[str, str, str]]:
    """A gateway before an LM Studio and an Ollama; the block gets its URL and theirs. One model of LM Studio's is loaded."""
    studio, other = MockLMStudio(MODELS, LatencyProfile(jitter=0)), MockOllama(MODELS, LatencyProfile(jitter=0))
    async with serve(studio, port=0) as studio_url, serve(other, port=0) as ollama_url:
        providers = {
            "studio": {"kind": "lmstudio", "base_url": studio_url},
            "o": {"kind": "ollama", "base_url": ollama_url},
        }
        settings = settings_of({"gateway": {"port": 0}, "providers": providers}, {})
        async with open_gateway(settings) as gateway, listening(gateway) as url:
            async with gateway.manager.acquire(RuntimeProviderConfig("studio", QWEN)):
                yield url, studio_url, ollama_url


async def get(url: str, path: str) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        return (await client.get(path)).json()


def without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


async def test_each_list_tells_what_the_server_of_its_kind_tells() -> None:
    async with before_two() as (url, studio_url, ollama_url):
        for path, rows, name, changing in (
            ("/api/v1/models", "models", "key", ("loaded_instances", "variants", "selected_variant", "description")),
            ("/api/v0/models", "data", "id", ("loaded_context_length",)),
        ):
            ours = {row[name]: row for row in (await get(url, path))[rows]}
            theirs = {row[name]: row for row in (await get(studio_url, path))[rows]}
            for key, row in theirs.items():
                expected = without(row, name, *changing)
                assert without(ours[f"studio/{key}"], name, *changing) | expected == without(
                    ours[f"studio/{key}"], name, *changing
                ), path
        ours = {row["model"]: row for row in (await get(url, "/api/tags"))["models"]}
        for row in (await get(ollama_url, "/api/tags"))["models"]:
            mine = ours[row["model"] if row["model"] in ours else f"o/{row['model']}"]
            assert {name: mine[name] for name in ("size", "digest")} == {name: row[name] for name in ("size", "digest")}
            assert mine["details"] == row["details"]


async def test_ollamas_client_reads_the_lists_and_a_model_of_another_kind() -> None:
    async with before_two() as (url, _, _):

        def look() -> None:
            client = ollama.Client(host=url)
            listed = {row.model for row in client.list().models}
            assert f"studio/{QWEN}" in listed
            (loaded,) = client.ps().models
            assert loaded.model == f"studio/{QWEN}"
            assert (loaded.expires_at is not None, loaded.size is not None) == (True, True)
            shown = client.show(f"studio/{QWEN}")
            assert shown.details is not None
            assert shown.capabilities is not None
            assert "completion" in shown.capabilities
            client._client.close()

        await trio.to_thread.run_sync(look)


@pytest.mark.parametrize("path", ["/api/v0/models", "/api/v1/models"])
async def test_the_state_is_the_gateways(path: str) -> None:
    async with before_two() as (url, _, _):
        answer = await get(url, path)
        rows = answer.get("models") or answer["data"]
        loaded = {
            row.get("key") or row["id"]: bool(row.get("loaded_instances")) or row.get("state") == "loaded"
            for row in rows
        }
        assert [name for name, is_loaded in loaded.items() if is_loaded] == [f"studio/{QWEN}"]
        assert f"studio/{GEMMA}" in loaded
