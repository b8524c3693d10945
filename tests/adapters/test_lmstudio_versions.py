"""LMStudioAdapter with servers of other versions and settings: before 0.4, a token of the environment, parallel slots, variants."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters import LMStudioAdapter
from statemachine import (
    AdapterConfig,
    AdapterError,
    AdapterRequestError,
    ConfigurationError,
    ModelLoadError,
    ModelNotFoundError,
)

from .loopback import Reply, Request, json_reply, loopback
from .studio import CHAT, LIST, LOAD, UNLOAD, Studio, answer, make, paths, studio


def unknown(request: Request) -> Reply:
    return json_reply({"error": f"Unexpected endpoint or method. ({request.method} {request.path})"})


class Old(Studio):
    """A server before 0.4: it lists, and a chat loads its model just in time."""

    def handle(self, request: Request) -> Reply:
        if request.path.startswith("/api/v1"):
            return unknown(request)
        if request.path == CHAT and request.json["model"] in self.rows:
            self.instances.setdefault(request.json["model"], ("", {}))
        if request.path == CHAT and request.json["model"] not in self.rows:
            return json_reply({"error": {"code": "model_not_found", "message": "Invalid model identifier"}}, 404)
        if request.path == "/api/v0/models":
            rows = [
                {"id": key, "state": "loaded" if key in self.instances else "not-loaded", **row}
                for key, row in self.rows.items()
            ]
            return json_reply({"data": rows})
        return super().handle(request)


async def test_before_0_4_a_chat_loads_the_model_and_nobody_unloads_it() -> None:
    state = Old()
    async with loopback(state.handle) as server:
        adapter = make(server, ttl=60)
        await adapter.start()
        assert list(state.instances) == ["m"]
        assert (await answer(adapter))[-1].type == "end"
        await adapter.shutdown()
    first, second = (request.json for request in server.requests if request.path == CHAT)
    assert (first["max_tokens"], first["ttl"], first["model"]) == (1, 60, "m")
    assert second["ttl"] == 60
    assert [request.path for request in server.requests].count(LIST) == 1, "the version is found once"
    assert UNLOAD not in paths(server)


async def test_before_0_4_what_cannot_be_set_is_compared() -> None:
    state = Old()
    state.rows["m"] = {"loaded_context_length": 4096}
    async with loopback(state.handle) as server:
        adapter = make(server, context_length=8192, load_timeout=1)
        with pytest.raises(AdapterError, match=r"takes longer|another context_length"):
            await adapter.start()
        await adapter.shutdown()
        adapter = make(server, "nothing")
        with pytest.raises(ModelNotFoundError):
            await adapter.start()
        await adapter.shutdown()


TOKEN = "sk-lm-abcdefgh:0123456789abcdefghij"


async def test_the_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_API_TOKEN", TOKEN)
    for options, sent in (({}, f"Bearer {TOKEN}"), ({"api_token": None}, None), ({"api_token": "x"}, "Bearer x")):
        async with studio() as (_, server):
            adapter = make(server, **options)
            await adapter.start()
            await adapter.shutdown()
        assert {request.headers.get("authorization") for request in server.requests} == {sent}
    monkeypatch.setenv("LM_API_TOKEN", "two words")
    with pytest.raises(ConfigurationError, match="LM_API_TOKEN") as caught:
        LMStudioAdapter(AdapterConfig("lmstudio", "m", {}))
    assert "two words" not in str(caught.value)


async def test_parallel_slots_are_verified_after_the_load() -> None:
    async with studio() as (state, server):
        adapter = make(server, parallel=8)
        await adapter.start()
        assert state.instances["m"] == ("m", {"parallel": 8})
        await adapter.shutdown()

        def fixed() -> Reply:  # tracker, #2061: loads have four slots, whatever was asked for
            state.load("m", parallel=4)
            return json_reply({"instance_id": "m"})

        state.said[LOAD] = [fixed]
        adapter = make(server, parallel=8)
        with pytest.raises(ModelLoadError, match="another parallel"):
            await adapter.start()
        await adapter.shutdown()
        assert state.instances == {}


async def test_a_server_that_does_not_know_parallel_is_asked_without() -> None:
    refusal = {"code": "unrecognized_keys", "message": "Unrecognized key(s) in object: 'parallel'"}
    async with studio() as (state, server):
        state.said[LOAD] = [json_reply({"error": refusal}, 400)]
        adapter = make(server, parallel=4, context_length=2048)
        await adapter.start()
        assert [request.json for request in server.requests if request.path == LOAD] == [
            {"model": "m", "parallel": 4, "context_length": 2048},
            {"model": "m", "context_length": 2048},
        ]
        await adapter.shutdown()
        state.said[LOAD] = [json_reply({"error": {**refusal, "message": "Unrecognized key(s) in object: 'x'"}}, 400)]
        adapter = make(server, parallel=4)
        with pytest.raises(AdapterRequestError):
            await adapter.start()
        await adapter.shutdown()


async def test_builds_that_know_no_variants_at_the_load() -> None:
    row = {"type": "llm", "variants": ["m@q4", "m@q8"], "selected_variant": "m@q4"}
    missing = json_reply({"error": {"type": "model_not_found", "message": "Model m@q4 not found"}}, 404)
    async with studio(rows={"m": row}) as (state, server):
        state.said[LOAD] = [missing]
        adapter = make(server, "m@q4")
        await adapter.start()
        assert [request.json["model"] for request in server.requests if request.path == LOAD] == ["m@q4", "m"]
        await adapter.shutdown()
        state.said[LOAD] = [missing]
        adapter = make(server, "m@q8")  # another one than a load of the key brings
        with pytest.raises(ModelNotFoundError):
            await adapter.start()
        await adapter.shutdown()


ERRORS: list[tuple[int, dict[str, Any], type[Exception]]] = [
    (404, {"type": "model_not_found", "message": "Model m not found in downloaded models"}, ModelNotFoundError),
    (400, {"type": "invalid_request", "code": "missing_required_parameter", "param": "model"}, AdapterRequestError),
    (400, {"type": "invalid_request", "code": "invalid_json", "message": "Invalid body"}, AdapterRequestError),
    (500, {"type": "model_load_failed", "message": "Failed to load model"}, ModelLoadError),
    (400, {"message": "Model loading was stopped due to insufficient system resources."}, ModelLoadError),
    (200, {"type": "internal_error", "message": "engine SIGABRT"}, ModelLoadError),
]


@pytest.mark.parametrize(("status", "error", "kind"), ERRORS)
async def test_how_loads_are_refused(status: int, error: dict[str, Any], kind: type[Exception]) -> None:
    async with studio(said={LOAD: [json_reply({"error": error}, status)]}) as (_, server):
        adapter = make(server)
        with pytest.raises(kind) as caught:
            await adapter.start()
        assert type(caught.value) is kind
        await adapter.shutdown()
        assert json.dumps(paths(server)) == json.dumps([LOAD]), "there is nothing to unload"
