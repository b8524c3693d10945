"""The mock LM Studio server through its HTTP face, in virtual time: models that come and go."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from simulation.mock.lmstudio import MockLMStudio

from .mock_server import ALPHA, BETA, CHAT, EXACT, LOAD, UNLOAD, chat, connected, frames, leave, load

# ---- loading and unloading ----


async def test_a_load_takes_its_time_and_shows_in_the_list(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT)
    async with connected(server) as client:
        began = trio.current_time()
        response = await client.post(
            LOAD, json={"model": "lab/alpha", "context_length": 8192, "echo_load_config": True}
        )
        assert trio.current_time() == began + 10
        config = {
            "context_length": 8192,
            "eval_batch_size": 512,
            "parallel": 2,
            "flash_attention": True,
            "offload_kv_cache_to_gpu": True,
        }
        assert response.json() == {
            "type": "llm",
            "instance_id": "lab/alpha",
            "load_time_seconds": 10,
            "status": "loaded",
            "load_config": config,
        }
        alpha, beta = (await client.get("/api/v1/models")).json()["models"]
    assert (alpha["key"], alpha["publisher"], alpha["display_name"]) == ("lab/alpha", "lab", "alpha")
    assert alpha["loaded_instances"] == [{"id": "lab/alpha", "config": config}]
    assert (beta["key"], beta["loaded_instances"]) == ("beta", [])


async def test_another_load_makes_another_instance_and_evicts_nothing(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT)
    async with connected(server) as client:
        ids = [await load(client, model) for model in ("lab/alpha", "lab/alpha", "beta", "lab/alpha")]
        assert ids == ["lab/alpha", "lab/alpha:2", "beta", "lab/alpha:3"]
        await client.post(UNLOAD, json={"instance_id": "lab/alpha:2"})
        assert await load(client) == "lab/alpha:2", "the lowest number that is free"
    assert server.counters.peak_resident == 4
    assert (server.counters.loads, server.counters.unloads) == (5, 1)


async def test_racing_loads_make_duplicates(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client, trio.open_nursery() as nursery:
        nursery.start_soon(load, client)
        nursery.start_soon(load, client)
    assert sorted(instance.id for instance in server.loaded) == ["lab/alpha", "lab/alpha:2"]


async def test_a_load_goes_on_without_its_client(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client:
        await leave(client, 1, LOAD, {"model": "lab/alpha"})
        assert server.counters.loads == 0
        await trio.sleep(10)
        assert [instance.id for instance in server.loaded] == ["lab/alpha"]


async def test_an_instance_that_loads_is_not_listed_and_one_that_unloads_still_is(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)

    async def listed() -> int:
        return len((await client.get("/api/v1/models")).json()["models"][0]["loaded_instances"])

    async with connected(server) as client, trio.open_nursery() as nursery:
        nursery.start_soon(load, client)
        await trio.sleep(5)
        assert await listed() == 0
        await trio.sleep(6)
        assert await listed() == 1
        unload = {"instance_id": "lab/alpha"}
        nursery.start_soon(lambda: client.post(UNLOAD, json=unload))
        await trio.sleep(1)
        assert await listed() == 1
        assert (await client.post(UNLOAD, json=unload)).status_code == 404
        await trio.sleep(2)
        assert await listed() == 0


async def test_a_load_fails_as_ordered_once_its_time_is_over(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    server.faults.fail_next_load("Error loading model.")
    async with connected(server) as client:
        began = trio.current_time()
        response = await client.post(LOAD, json={"model": "lab/alpha"})
        assert trio.current_time() == began + 10
        assert response.status_code == 500
        assert response.json() == {"error": {"type": "model_load_failed", "message": "Error loading model."}}
        assert server.resident == {}
        await load(client)
    assert (server.counters.loads, server.counters.load_failures) == (1, 1)


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        (LOAD, {"model": "nope"}, 404, {"type": "model_not_found"}),
        (LOAD, {}, 400, {"type": "invalid_request", "code": "missing_required_parameter", "param": "model"}),
        (LOAD, {"model": 7}, 400, {"type": "invalid_request", "param": "model"}),
        (LOAD, {"model": "beta", "parallel": 0}, 400, {"type": "invalid_request", "param": "parallel"}),
        (LOAD, {"model": "beta", "context_length": True}, 400, {"type": "invalid_request", "param": "context_length"}),
        (
            LOAD,
            {"model": "beta", "ttl": 5, "id": "x"},
            400,
            {"code": "unrecognized_keys", "message": "Unrecognized key(s) in object: 'ttl', 'id'"},
        ),
        (LOAD, [], 400, {"type": "invalid_request", "code": "invalid_json"}),
        (UNLOAD, {"instance_id": "beta"}, 404, {"type": "model_not_found"}),
        (UNLOAD, {}, 400, {"code": "missing_required_parameter", "param": "instance_id"}),
        (CHAT, chat("nope"), 400, {"type": "invalid_request_error", "code": "model_not_found", "param": "model"}),
        (CHAT, chat("beta:2"), 400, {"code": "model_not_found"}),
        (CHAT, {"model": "beta"}, 400, {"param": "messages"}),
        (CHAT, {"model": "beta", "messages": "Hi"}, 400, {"param": "messages"}),
        (CHAT, {"model": "beta", "messages": ["Hi"]}, 400, {"param": "messages"}),
        (CHAT, chat("beta", max_tokens="many"), 400, {"param": "max_tokens"}),
    ],
)
async def test_what_is_refused(path: str, body: object, status: int, error: dict[str, str]) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT)
    async with connected(server) as client:
        response = await client.post(path, json=body)
    assert response.status_code == status
    shown = response.json()["error"]
    assert {name: shown.get(name) for name in error} == error
    assert server.resident == {}


async def test_a_body_that_is_no_json() -> None:
    async with connected(MockLMStudio([ALPHA])) as client:
        response = await client.post(LOAD, content=b"{")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


async def test_an_unknown_path_is_answered_with_200_and_an_error() -> None:
    async with connected(MockLMStudio([ALPHA])) as client:
        for method, path in (("POST", "/v1/models/unload"), ("GET", CHAT)):
            response = await client.request(method, path)
            assert response.status_code == 200
            assert response.json() == {"error": f"Unexpected endpoint or method. ({method} {path})"}


async def test_a_token_is_asked_for_only_where_one_is_configured() -> None:
    async with connected(MockLMStudio([ALPHA], api_token="right")) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            response = await client.get("/v1/models", headers=headers)
            assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
        assert (await client.get("/v1/models", headers={"Authorization": "Bearer right"})).status_code == 200


async def test_a_prepared_answer_is_given_once_and_to_its_path_only() -> None:
    server = MockLMStudio([ALPHA])
    server.faults.answer_next("/v1/models", 503, "busy")
    async with connected(server) as client:
        assert (await client.get("/api/v1/models")).status_code == 200
        response = await client.get("/v1/models")
        assert (response.status_code, response.json()) == (503, "busy")
        assert (await client.get("/v1/models")).status_code == 200


# ---- just-in-time loading ----


async def test_a_chat_loads_its_model_and_evicts_what_was_loaded_so_but_nothing_else(autojump_clock: MockClock) -> None:
    gamma = replace(ALPHA, key="gamma")
    server = MockLMStudio([ALPHA, BETA, gamma], EXACT)
    async with connected(server) as client:
        await load(client)
        began = trio.current_time()
        await client.post(CHAT, json=chat("beta"))
        assert trio.current_time() == pytest.approx(began + 10 + 1 + 1)
        assert [instance.id for instance in server.loaded] == ["lab/alpha", "beta"]
        await client.post(CHAT, json=chat("gamma"))
        assert [instance.id for instance in server.loaded] == ["lab/alpha", "gamma"]
        await client.post(CHAT, json=chat())
    assert (server.counters.loads, server.counters.unloads, server.counters.answered) == (3, 1, 3)


async def test_racing_chats_load_duplicates(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client.post(CHAT, json=chat()))
        nursery.start_soon(lambda: client.post(CHAT, json=chat()))
    assert len(server.loaded) == 2


async def test_eviction_kills_the_answer_of_another_client(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT)
    async with connected(server) as client, trio.open_nursery() as nursery:
        async with client.stream("POST", CHAT, json=chat("lab/alpha", stream=True)) as response:
            nursery.start_soon(lambda: client.post(CHAT, json=chat("beta")))
            *chunks, (_, last) = await frames(response)
    assert chunks, "it had begun"
    assert json.loads(last)["error"]["message"] == "Model unloaded"
    assert [instance.id for instance in server.loaded] == ["beta"]


async def test_a_load_for_a_chat_that_fails(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    server.faults.fail_next_load("Error loading model.")
    async with connected(server) as client:
        response = await client.post(CHAT, json=chat(stream=True))
    assert response.status_code == 400
    assert response.json()["error"]["message"] == 'Failed to load model "lab/alpha". Error: Error loading model.'


async def test_without_just_in_time_loading(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA, BETA], EXACT, jit=False)) as client:
        response = await client.post(CHAT, json=chat())
        assert (response.status_code, response.json()["error"]["param"]) == (400, "model")
        assert "No models loaded" in response.json()["error"]["message"]
        await load(client, "beta")
        assert [row["id"] for row in (await client.get("/v1/models")).json()["data"]] == ["beta"]


async def test_with_it_every_downloaded_model_is_offered() -> None:
    async with connected(MockLMStudio([ALPHA, BETA])) as client:
        assert [row["id"] for row in (await client.get("/v1/models")).json()["data"]] == ["lab/alpha", "beta"]
