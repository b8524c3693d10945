"""The mock LM Studio's settings and faults: what each changes."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock

from simulation.commands.serve import Options, server_of
from simulation.mock.lmstudio import DownloadedModel, MockLMStudio
from statemachine import ConfigurationError
from statemachine.shell.options import parsed, parser_of

from .mock_server import ALPHA, BETA, CHAT, EXACT, LOAD, UNLOAD, chat, connected, frames, load, streamed

SMALL: dict[str, Any] = {"max_tokens": 1}


def ids(server: MockLMStudio) -> list[str]:
    return [instance.id for instance in server.loaded]


# ---- just-in-time loading ----


@pytest.mark.parametrize(("asked", "lives"), [({"ttl": 60}, 60), ({}, 3600)])
async def test_a_model_that_a_request_loaded_goes_when_it_is_idle(
    autojump_clock: MockClock, asked: dict[str, Any], lives: float
) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT)
    async with connected(server) as client:
        await load(client, "beta")
        await client.post(CHAT, json=chat(**SMALL, **asked))
        await trio.sleep(lives - 1)
        await client.post(CHAT, json=chat(**SMALL, ttl=5))  # its own ttl does not count: nothing is loaded for it
        await trio.sleep(lives - 1)
        assert ids(server) == ["beta", "lab/alpha"]
        await trio.sleep(1)
        assert ids(server) == ["beta"], "and what was loaded explicitly stays"
    assert server.counters.unloads == 1


async def test_a_model_at_work_is_not_idle(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client:
        assert (await client.post(CHAT, json=chat(max_tokens=1000, ttl=5))).status_code == 200
        assert ids(server) == ["lab/alpha"]


async def test_without_eviction_models_pile_up(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT, auto_evict=False)
    async with connected(server) as client:
        for model in ("lab/alpha", "beta"):
            await client.post(CHAT, json=chat(model, **SMALL))
    assert ids(server) == ["lab/alpha", "beta"]


async def test_an_eviction_may_wait_for_work_to_end(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT, evict_busy=False)
    async with connected(server) as client, trio.open_nursery() as nursery:
        async with client.stream("POST", CHAT, json=chat(stream=True)) as response:
            nursery.start_soon(lambda: client.post(CHAT, json=chat("beta")))
            *_, (_, last) = await frames(response)
        assert last == "[DONE]"
    assert (ids(server), server.counters.cut) == (["beta"], 0)


async def test_first_requests_may_share_a_load(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT, racing_loads=False)
    async with connected(server) as client, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(lambda: client.post(CHAT, json=chat(**SMALL)))
    assert (ids(server), server.counters.answered) == (["lab/alpha"], 3)


async def test_memory_is_a_bound(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT, memory_bytes=ALPHA.size_bytes + 1)
    async with connected(server) as client:
        await load(client)
        native = await client.post(LOAD, json={"model": "beta"})
        compatible = await client.post(CHAT, json=chat("beta"))
    assert (native.status_code, native.json()["error"]["type"]) == (500, "model_load_failed")
    assert "insufficient system resources" in native.json()["error"]["message"]
    assert compatible.status_code == 400
    assert "insufficient system resources" in compatible.json()["error"]["message"]


# ---- versions ----


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("0.3.5", {"/v1/models"}),
        ("0.3.30", {"/v1/models", "/api/v0/models"}),
        ("0.4", {"/v1/models", "/api/v0/models", "/api/v1/models"}),
    ],
)
async def test_each_version_has_its_endpoints(version: str, has: set[str]) -> None:
    async with connected(MockLMStudio([ALPHA], version=version)) as client:
        for path in ("/v1/models", "/api/v0/models", "/api/v1/models"):
            body = (await client.get(path)).json()
            assert ("error" not in body) == (path in has)


async def test_the_oldest_version_has_its_own_words(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT, version="0.3.5", jit=False)
    async with connected(server) as client:
        nothing = await client.post(CHAT, json=chat())
        assert (nothing.status_code, type(nothing.json()["error"])) == (404, str)
        await server.load(server.models["lab/alpha"], {})
        guessed = await client.post(CHAT, json=chat("whatever", **SMALL))
        assert guessed.json()["model"] == "lab/alpha", "the name is ignored"
        await server.load(server.models["beta"], {})
        several = await client.post(CHAT, json=chat("whatever"))
        assert "Your models:\n\nlab/alpha\nbeta" in several.json()["error"]["message"]
        async with client.stream("POST", CHAT, json=chat(prompt="x" * 20_000, stream=True)) as response:
            assert (await response.aread()).startswith(b"event: error\n")
    assert {instance.config["parallel"] for instance in server.loaded} == {1}


async def test_an_unknown_model_is_404_before_0_3_30() -> None:
    for version, status in (("0.3.5", 404), ("0.3.30", 400), ("0.4", 400)):
        async with connected(MockLMStudio([ALPHA], version=version)) as client:
            assert (await client.post(CHAT, json=chat("nope"))).status_code == status


async def test_a_variant_of_a_model_when_nothing_is_loaded() -> None:
    async with connected(MockLMStudio([ALPHA])) as client:
        response = await client.post(CHAT, json=chat("lab/alpha@q8_0"))
    assert "No models loaded" in response.json()["error"]["message"]


# ---- switches ----


async def test_cors() -> None:
    origin = {"Origin": "http://page", "Access-Control-Request-Method": "POST"}
    async with connected(MockLMStudio([ALPHA], cors=True, api_token="t")) as client:
        assert (await client.options(CHAT, headers=origin)).headers["access-control-allow-origin"]
        assert (await client.get("/v1/models", headers=origin)).headers["access-control-allow-origin"] == "*"
    async with connected(MockLMStudio([ALPHA])) as client:
        assert "access-control-allow-origin" not in (await client.get("/v1/models", headers=origin)).headers


async def test_the_anthropic_endpoint_takes_a_key_of_its_own() -> None:
    async with connected(MockLMStudio([ALPHA], api_token="right")) as client:
        for path, status in (("/v1/messages", 400), (CHAT, 401)):
            assert (await client.post(path, json={}, headers={"X-Api-Key": "right"})).status_code == status


async def test_native_endpoints_may_be_lenient_and_compact(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT, strict_keys=False, pretty=False)) as client:
        response = await client.post(LOAD, json={"model": "lab/alpha", "ttl": 5})
        assert response.status_code == 200
        assert response.text.startswith('{"type"')
        assert (
            await client.post("/api/v1/chat", json={"model": "lab/alpha", "input": "x", "stop": 1})
        ).status_code == 200


async def test_a_load_may_be_cancelled_by_an_unload(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT, cancel_loading=True)
    responses: list[httpx.Response] = []

    async def load_it(client: httpx.AsyncClient) -> None:
        responses.append(await client.post(LOAD, json={"model": "lab/alpha"}))

    async with connected(server) as client, trio.open_nursery() as nursery:
        nursery.start_soon(load_it, client)
        await trio.sleep(3)
        assert (await client.post(UNLOAD, json={"instance_id": "lab/alpha"})).status_code == 200
    assert responses[0].json()["error"]["message"] == "Operation canceled."
    assert server.resident == {}


async def test_a_client_that_leaves_may_stop_the_reading_of_its_prompt(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT, stubborn_prefill=False)
    async with connected(server) as client:
        await load(client)
        with trio.move_on_after(0.2):
            await client.post(CHAT, json=chat())
        await trio.testing.wait_all_tasks_blocked()
        assert server.loaded[0].running == 0


async def test_what_is_left_of_a_ttl_may_be_told(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT, show_ttl=True)) as client:
        await client.post(CHAT, json=chat(**SMALL, ttl=100))
        await trio.sleep(40)
        (instance,) = (await client.get("/api/v1/models")).json()["models"][0]["loaded_instances"]
    assert instance["remaining_ttl_seconds"] == 60


@pytest.mark.parametrize(
    "settings",
    [{"version": "0.5"}, {"jit": 1}, {"default_ttl": 0}, {"memory_bytes": 0}, {"crash_status": 42}],
)
def test_a_setting_that_is_none(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        MockLMStudio([ALPHA], **settings)


# ---- faults ----


async def test_a_crash_ends_every_answer_of_the_instance(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT, crash_status=500)
    server.faults.break_next_stream("crash", after_chunks=2, message="(Exit code: 6)")
    statuses = []

    async def ask(client: httpx.AsyncClient) -> None:
        statuses.append((await client.post(CHAT, json=chat())).status_code)

    async with connected(server) as client, trio.open_nursery() as nursery:
        await load(client)
        async with client.stream("POST", CHAT, json=chat(stream=True)) as response:
            nursery.start_soon(ask, client)
            *chunks, (_, last) = await frames(response)
    assert len(chunks) == 2
    assert json.loads(last)["error"]["message"] == "(Exit code: 6)"
    assert (statuses, server.resident, server.counters.cut) == ([500], {}, 2)


async def test_the_list_may_lie(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    server.faults.hide_instances = True
    async with connected(server) as client:
        await load(client)
        assert (await client.get("/api/v1/models")).json()["models"][0]["loaded_instances"] == []
        assert (await client.get("/api/v0/models")).json()["data"][0]["state"] == "loaded"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/api/v1/chat"])
async def test_every_stream_can_break(autojump_clock: MockClock, path: str) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    body = {"model": "lab/alpha", "input": "x", "stream": True}
    if path == "/v1/messages":
        body = {**chat(stream=True), "max_tokens": 5}
    async with connected(server) as client:
        await load(client)
        server.faults.break_next_stream("drop", after_chunks=1)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(path, json=body)
        server.faults.break_next_stream("error", after_chunks=1, message="broken")
        assert b"broken" in (await client.post(path, json=body)).content


# ---- what a request asks for ----


async def test_stop_strings(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:
        text = (await client.post(CHAT, json=chat())).json()["choices"][0]["message"]["content"]
        stop = text.split()[4]
        body = (await client.post(CHAT, json=chat(stop=["~", stop]))).json()
        assert body["choices"][0]["finish_reason"] == "stop"
        assert body["choices"][0]["message"]["content"] == text[: text.index(stop)]
        chunks = await streamed(client, stop=stop)
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_seed_changes_the_answer_and_keeps_it(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:

        async def text(seed: int) -> str:
            body = (await client.post(CHAT, json=chat(seed=seed))).json()
            return str(body["choices"][0]["message"]["content"])

        assert await text(1) == await text(1) != await text(2)


async def test_tools_are_called_as_the_rule_says(autojump_clock: MockClock) -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("one", "two", "three")]
    user = {"role": "user", "content": "call two and three"}
    call = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "one", "arguments": "{}"}}]}
    result = {"role": "tool", "tool_call_id": "1", "content": "done"}
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:

        async def called(messages: list[Any], choice: object) -> list[str]:
            body = {"model": "lab/alpha", "messages": messages, "tools": tools, "tool_choice": choice}
            message = (await client.post(CHAT, json=body)).json()["choices"][0]["message"]
            return [made["function"]["name"] for made in message.get("tool_calls", [])]

        assert await called([user], "auto") == ["two", "three"]
        assert await called([{"role": "user", "content": "hello"}], "auto") == ["one"]
        assert await called([user, call, result], "auto") == []
        assert await called([user, call, result], "required") == ["two"]
        assert await called([user], "none") == []
        assert await called([user], {"type": "function", "function": {"name": "three"}}) == ["three"]


async def test_a_model_that_makes_no_text(autojump_clock: MockClock) -> None:
    models = [ALPHA, DownloadedModel("embedder", kind="embedding")]
    async with connected(MockLMStudio(models, EXACT)) as client:
        chatting = await client.post(CHAT, json=chat("embedder"))
        embedding = await client.post("/v1/embeddings", json={"model": "lab/alpha", "input": "x"})
    assert (chatting.status_code, embedding.status_code) == (400, 400)


# ---- the command ----


async def test_options_of_the_command_are_settings_and_faults(autojump_clock: MockClock) -> None:
    words = shlex.split(
        "--model a --reasoning-model b --server-version 0.4 --api-token t --cors --no-jit --ttl 9 --no-auto-evict"
        " --no-busy-eviction --no-racing-loads --memory-gb 3 --lenient --compact --prompt-reading-stops"
        " --loads-can-be-cancelled --show-ttl --swallow-overflow --crash-status 500 --hide-instances --parallel 2"
        " --context-length 200000 --load-seconds 1 --fail-load bad --break-stream drop:3 --downloadable c"
    )
    options = parsed(parser_of("serve", "", Options), Options, [*words, "--answer", '/v1/models=503:{"error":"busy"}'])
    server = server_of(options)
    settings = server.settings
    assert not any(
        [settings.jit, settings.auto_evict, settings.evict_busy, settings.racing_loads, settings.strict_keys]
    )
    assert not any([settings.pretty, settings.stubborn_prefill])
    assert all([settings.cors, settings.cancel_loading, settings.show_ttl, settings.swallow_overflow])
    assert (settings.api_token, settings.default_ttl, settings.memory_bytes) == ("t", 9, 3_000_000_000)
    model = server.models["a"]
    assert (model.parallel, model.context_length, model.max_context_length) == (2, 200_000, 200_000)
    async with connected(server) as client:
        client.headers["Authorization"] = "Bearer t"
        assert (await client.get("/v1/models")).status_code == 503
        assert (await client.post(LOAD, json={"model": "a"})).json()["error"]["message"] == "bad"
        await load(client, "b")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(CHAT, json=chat("b", stream=True))


@pytest.mark.parametrize(
    "words",
    [
        ["--break-stream", "nonsense"],
        ["--break-stream", "drop:x"],
        ["--answer", "/v1/models"],
        ["--answer", "/v1/models=503:{"],
        ["--server-version", "1"],
        ["--model", "a", "--model", "a"],
    ],
)
def test_options_that_are_wrong_are_refused(words: list[str]) -> None:
    options = parsed(parser_of("serve", "", Options), Options, words)
    with pytest.raises(ConfigurationError):
        server_of(options)


def test_a_spec_of_its_own_is_kept() -> None:
    model = replace(DownloadedModel("x", kind="vlm"), parallel=3)
    assert MockLMStudio([model]).models["x"] == model
