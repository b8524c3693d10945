"""The mock LM Studio's bodies and events against the shapes that LM Studio documents or was seen to send."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from trio.testing import MockClock

from simulation.mock.lmstudio import DownloadedModel, MockLMStudio

from .mock_server import ALPHA, CHAT, EXACT, LOAD, UNLOAD, chat, connected, load
from .recorded import RECORDED, differences

EMBEDDING = replace(ALPHA, key="text-embedding-lab", context_length=2048, max_context_length=2048)
REASONING = DownloadedModel("reasoning", load_seconds=1, reasons=True)
NATIVE = "/api/v1/chat"


def server(**settings: Any) -> MockLMStudio:
    return MockLMStudio([ALPHA, EMBEDDING, REASONING], EXACT, **settings)


async def events(client: httpx.AsyncClient, path: str, body: object) -> list[tuple[str | None, Any]]:
    """The names and the data of a stream's events."""
    found: list[tuple[str | None, Any]] = []
    async with client.stream("POST", path, json=body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        name = None
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                text = line.removeprefix("data: ")
                found.append((name, text if text == "[DONE]" else json.loads(text)))
                name = None
    return found


async def test_whole_bodies(autojump_clock: MockClock) -> None:
    figures = RECORDED["v0 figures"]
    async with connected(server(auto_evict=False)) as client:
        loaded = await client.post(LOAD, json={"model": "lab/alpha", "echo_load_config": True})
        await client.post("/v1/embeddings", json={"model": "text-embedding-lab", "input": "x"})
        bodies = {
            "load": loaded,
            "chat": await client.post(CHAT, json=chat()),
            "completion": await client.post("/v1/completions", json={"model": "lab/alpha", "prompt": "x"}),
            "embeddings": await client.post("/v1/embeddings", json={"model": "text-embedding-lab", "input": "x"}),
            "openai models": await client.get("/v1/models"),
            "message": await client.post("/v1/messages", json={**chat(), "max_tokens": 3}),
        }
        for name, response in bodies.items():
            expected = {**RECORDED["chat"], "stats": {}} if name == "chat" else RECORDED[name]
            assert differences(response.json(), expected, name) == []
        v0 = await client.post("/api/v0/chat/completions", json=chat())
        assert differences(v0.json(), {**RECORDED["chat"], **figures}) == []
        v0 = await client.post("/api/v0/completions", json={"model": "lab/alpha", "prompt": "x"})
        assert differences(v0.json(), {**RECORDED["completion"], **figures}) == []
        rows = (await client.get("/api/v1/models")).json()["models"]
        assert differences(rows[0], RECORDED["v1 llm"]) == []
        assert differences(rows[1], RECORDED["v1 embedding"]) == []
        assert rows[2]["capabilities"]["reasoning"]["default"] == "on"


async def test_v0_rows(autojump_clock: MockClock) -> None:
    async with connected(server()) as client:
        rows = (await client.get("/api/v0/models")).json()
        assert rows["object"] == "list"
        assert differences(rows["data"][0], RECORDED["v0 llm"]) == []
        assert [row["type"] for row in rows["data"]] == ["llm", "embeddings", "llm"]
        await load(client)
        await load(client)
        rows = (await client.get("/api/v0/models")).json()["data"]
        assert [(row["id"], row["state"]) for row in rows[:2]] == [("lab/alpha", "loaded"), ("lab/alpha:2", "loaded")]
        one = (await client.get("/api/v0/models/lab/alpha:2")).json()
        assert one == rows[1]
        assert one["loaded_context_length"] == 4096
        assert (await client.get("/api/v0/models/nope")).status_code == 404


async def test_a_chunk_and_the_order_of_chunks(autojump_clock: MockClock) -> None:
    body = chat(stream=True, max_tokens=2, stream_options={"include_usage": True})
    async with connected(server()) as client:
        first, second, closing, usage, done = [data for _, data in await events(client, CHAT, body)]
    assert differences(first, RECORDED["chunk"]) == []
    assert second["choices"][0]["delta"].keys() == {"content"}
    assert closing["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 102)
    assert done == "[DONE]"
    assert 1_700_000_000 < first["created"] < 2_000_000_000, "Unix time, not the clock of the machine's start"
    assert first["id"].startswith("chatcmpl-")
    assert len(first["id"]) == len("chatcmpl-") + 21


async def test_the_native_chat(autojump_clock: MockClock) -> None:
    ask = {"model": "reasoning", "input": "x", "max_output_tokens": 8}
    async with connected(server()) as client:
        stream = await events(client, NATIVE, {**ask, "stream": True})
        whole = (await client.post(NATIVE, json={**ask, "store": False, "reasoning": "off"})).json()
    assert all(name == data["type"] for name, data in stream)
    names = [name for index, (name, _) in enumerate(stream) if index == 0 or name != stream[index - 1][0]]
    load_events = ["model_load.start", "model_load.progress", "model_load.end"]
    prompt_events = ["prompt_processing.start", "prompt_processing.progress", "prompt_processing.end"]
    answer_events = [f"{kind}.{what}" for kind in ("reasoning", "message") for what in ("start", "delta", "end")]
    assert names == ["chat.start", *load_events, *prompt_events, *answer_events, "chat.end"]
    progress = [data["progress"] for name, data in stream if name == "model_load.progress"]
    assert progress == [0, 0.25, 0.5, 0.75, 1]
    result = stream[-1][1]["result"]
    assert differences(result, RECORDED["native"]) == []
    assert [item["type"] for item in result["output"]] == ["reasoning", "message"]
    assert result["stats"]["model_load_time_seconds"] == 1
    assert whole.keys() == {"model_instance_id", "output", "stats"}
    assert "model_load_time_seconds" not in whole["stats"]
    assert [item["type"] for item in whole["output"]] == ["message"]


async def test_the_native_chat_calls_the_tools_of_its_integrations(autojump_clock: MockClock) -> None:
    mcp = {"type": "ephemeral_mcp", "server_label": "hub", "server_url": "http://x", "allowed_tools": ["find"]}
    ask = {"model": "lab/alpha", "input": "x", "integrations": ["mcp/files", mcp]}
    async with connected(server()) as client:
        stream = await events(client, NATIVE, {**ask, "stream": True})
        output = (await client.post(NATIVE, json=ask)).json()["output"]
    calls = [data for name, data in stream if name and name.startswith("tool_call.")]
    assert [call["type"] for call in calls] == ["tool_call.start", "tool_call.arguments", "tool_call.success"] * 2
    assert calls[0]["provider_info"] == {"type": "plugin", "plugin_id": "mcp/files"}
    assert [item["type"] for item in output] == ["tool_call", "tool_call", "message"]
    assert output[1]["tool"] == "find"


async def test_the_native_chat_fails_in_its_stream_and_ends_all_the_same(autojump_clock: MockClock) -> None:
    failing = server()
    failing.faults.fail_next_load("Error loading model.")
    async with connected(failing) as client:
        stream = await events(client, NATIVE, {"model": "lab/alpha", "input": "x", "stream": True})
        unknown = await client.post(NATIVE, json={"model": "nope", "input": "x", "stream": True})
        strict = await client.post(NATIVE, json={"model": "lab/alpha", "input": "x", "stop": ["y"]})
    assert [name for name, _ in stream if name in ("error", "chat.end")] == ["error", "chat.end"]
    assert stream[-2][1]["error"]["message"] == 'Failed to load model "lab/alpha". Error: Error loading model.'
    assert stream[-1][1]["result"]["output"] == []
    error = unknown.json()["error"]
    assert (unknown.status_code, error["param"], error["code"]) == (404, "model", "model_not_found")
    assert strict.json()["error"]["message"] == "Unrecognized key(s) in object: 'stop'"


async def test_the_events_of_responses(autojump_clock: MockClock) -> None:
    async with connected(server()) as client:
        stream = await events(client, "/v1/responses", {"model": "lab/alpha", "input": "x", "stream": True})
        whole = (await client.post("/v1/responses", json={"model": "lab/alpha", "input": "x"})).json()
    assert stream[0][0] == "response.created"
    assert stream[-1][0] == "response.completed"
    assert [data["sequence_number"] for _, data in stream] == list(range(len(stream)))
    text = "".join(data["delta"] for name, data in stream if name == "response.output_text.delta")
    assert text == whole["output"][0]["content"][0]["text"]
    assert differences(whole["output"][0], RECORDED["response message"]) == []
    recorded = "id object created_at completed_at status incomplete_details model previous_response_id instructions"
    assert whole.keys() >= {*recorded.split(), "output", "usage"}
    assert len(whole["id"]) == len("resp_") + 48


async def test_the_events_of_messages(autojump_clock: MockClock) -> None:
    ask = {"model": "lab/alpha", "messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
    async with connected(server()) as client:
        stream = await events(client, "/v1/messages", {**ask, "stream": True})
        refused = await client.post("/v1/messages", json={**ask, "model": "nope"})
    names = "message_start content_block_start content_block_delta content_block_delta content_block_stop message_delta"
    assert [name for name, _ in stream] == [*names.split(), "message_stop"]
    assert refused.json().keys() == {"type", "error"}
    assert refused.json()["error"].keys() == {"type", "message"}


async def test_downloads(autojump_clock: MockClock) -> None:
    new = replace(ALPHA, key="new", size_bytes=10**9)
    async with connected(MockLMStudio([ALPHA], EXACT, downloadable=(new,))) as client:
        download = "/api/v1/models/download"
        assert (await client.post(download, json={"model": "lab/alpha"})).json() == {"status": "already_downloaded"}
        begun = (await client.post(download, json={"model": "new"})).json()
        assert differences(begun, RECORDED["download"]) == []
        path = f"{download}/status/{begun['job_id']}"
        assert differences((await client.get(path)).json(), RECORDED["download status"]) == []
        assert (await client.post(LOAD, json={"model": "new"})).status_code == 404
        autojump_clock.jump(10)
        done = (await client.get(path)).json()
        assert (done["status"], done["downloaded_bytes"]) == ("completed", 10**9)
        await load(client, "new")
        unknown = await client.get(f"{download}/status/job_x")
        assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "job_not_found")


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        (
            LOAD,
            {"model": "foo"},
            404,
            {"type": "model_not_found", "message": "Model foo not found in downloaded models"},
        ),
        (
            LOAD,
            {},
            400,
            {
                "type": "invalid_request",
                "message": '"model" is required',
                "code": "missing_required_parameter",
                "param": "model",
            },
        ),
        (
            UNLOAD,
            {"instance_id": "X"},
            404,
            {"type": "model_not_found", "message": "Model with instance identifier 'X' is not loaded."},
        ),
        (
            CHAT,
            chat("o4-mini"),
            400,
            {
                "message": 'Invalid model identifier "o4-mini". Please specify a valid downloaded model'
                " (e.g., lab/alpha, text-embedding-lab, reasoning).",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            },
        ),
        (
            CHAT,
            chat(prompt="x" * 52_220),
            400,
            "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096)."
            " Try to load the model with a larger context length, or provide a shorter input.",
        ),
        (
            CHAT,
            chat(response_format={"type": "json_object"}),
            400,
            "'response_format.type' must be 'json_schema' or 'text'",
        ),
    ],
)
async def test_errors(autojump_clock: MockClock, path: str, body: object, status: int, error: object) -> None:
    async with connected(server()) as client:
        response = await client.post(path, json=body)
    assert (response.status_code, response.json()) == (status, {"error": error})


async def test_the_form_of_answers() -> None:
    async with connected(server(api_token="right")) as client:
        refused = await client.get("/api/v1/models")
        assert refused.status_code == 401
        assert refused.json()["error"].keys() == {"type", "code", "message"}
        right = {"Authorization": "Bearer right"}
        response = await client.get("/api/v1/models", headers=right)
        assert response.text.startswith('{\n  "models"'), "native bodies are indented"
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert response.headers["x-powered-by"] == "Express"
        assert response.headers["etag"].startswith('W/"')
        assert (await client.post(LOAD, content=b"{", headers=right)).text.startswith('{"error"'), "but not this one"
        assert (await client.get("/lmstudio-greeting", headers=right)).json() == {"lmstudio": True}
        unknown = await client.post("/chat/completions", headers=right)
        assert (unknown.status_code, unknown.json()) == (
            200,
            {"error": "Unexpected endpoint or method. (POST /chat/completions)"},
        )
