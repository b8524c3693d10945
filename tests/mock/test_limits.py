"""What is too large, too deep or no number at all: refused by the mock server, with a bound and a reason."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import trio
from trio.testing import MockClock

from simulation.__main__ import main
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.serve import serve
from statemachine import ConfigurationError

from .mock_server import ALPHA, CHAT, EXACT, LOAD, UNLOAD, chat, connected, load


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, chat(max_tokens=10**12), "max_tokens"),
        (CHAT, chat(max_tokens=10**4000), "max_tokens"),
        (CHAT, chat(max_completion_tokens=-2), "max_completion_tokens"),
        (CHAT, chat(max_tokens=1.5), "max_tokens"),
        (CHAT, chat(n=17), "n"),
        (CHAT, chat(seed=10**40), "seed"),
        (CHAT, chat(ttl=0), "ttl"),
        (CHAT, chat(stop=["x"] * 65), "stop"),
        (CHAT, chat(stop=[1]), "stop"),
        (CHAT, chat(stream="yes"), "stream"),
        (CHAT, chat(logprobs=True, top_logprobs=21), "top_logprobs"),
        (CHAT, chat(tools=[{"function": {"name": "f"}}] * 1025), "tools"),
        (CHAT, chat(tools=[{"function": {}}]), "tools[0].function.name"),
        (CHAT, chat(tool_choice="perhaps"), "tool_choice"),
        (LOAD, {"model": "lab/alpha", "context_length": 999_999_999}, "context_length"),
        (LOAD, {"model": "lab/alpha", "parallel": 10**9}, "parallel"),
        ("/api/v1/chat", {"model": "lab/alpha", "input": "x", "context_length": 999_999_999}, "context_length"),
        ("/api/v1/chat", {"model": "lab/alpha", "input": "x", "previous_response_id": "x"}, "previous_response_id"),
        ("/v1/completions", {"model": "lab/alpha", "prompt": ["x"] * 5, "n": 4}, "n"),
        ("/v1/embeddings", {"model": "lab/alpha", "input": []}, "input"),
        ("/v1/responses", {"model": "lab/alpha", "input": 7}, "input"),
    ],
)
async def test_r16_what_is_out_of_bounds_is_named(path: str, body: dict[str, object], param: str) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client:
        response = await client.post(path, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert len(response.content) < 1000
    assert server.counters.loads == 0


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"model": NaN}', b'{"model": 1e400}', b"\xff", b'{"n": ' + b"9" * 5000],
)
async def test_r16_what_is_no_json_is_refused(body: bytes) -> None:
    async with connected(MockLMStudio([ALPHA])) as client:
        for path in (CHAT, "/v1/responses", "/v1/messages", "/api/v1/chat", LOAD, UNLOAD):
            response = await client.post(path, content=body)
            assert response.status_code == 400
            assert "parse JSON" in response.json()["error"]["message"]


@pytest.mark.parametrize("number", ["9" * 5000, "99999999999", "-1", "1e3", "²"])
async def test_r16_a_hint_that_is_no_count_of_tokens(number: str) -> None:
    headers = {b"X-Mock-Prompt-Tokens": number.encode("latin-1")}
    async with connected(MockLMStudio([ALPHA])) as client:
        response = await client.post(CHAT, json=chat(), headers=headers)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "x-mock-prompt-tokens")


async def test_a_long_name_is_not_repeated_whole() -> None:
    async with connected(MockLMStudio([ALPHA])) as client:
        for path, body in (
            (CHAT, chat("x" * 10**6)),
            (LOAD, {"model": "x" * 10**6}),
            (UNLOAD, {"instance_id": "x" * 10**6}),
        ):
            assert len((await client.post(path, json=body)).content) < 1000


async def test_a_schema_that_grows_without_end_is_cut(autojump_clock: MockClock) -> None:
    node = {"type": "object", "properties": {}, "required": ["a", "b", "c"]}
    node["properties"] = {name: {"$ref": "#"} for name in ("a", "b", "c")}
    tool = {"type": "function", "function": {"name": "grow", "parameters": node}}
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:
        body = (await client.post(CHAT, json=chat(tools=[tool], max_tokens=50))).json()
    assert body["usage"]["completion_tokens"] == 50
    assert body["choices"][0]["finish_reason"] == "length"


async def test_r16_an_answer_is_bounded_by_the_context(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:
        await load(client, context_length=200)
        body = (await client.post(CHAT, json=chat(max_tokens=2_000_000_000))).json()
        assert (body["usage"]["completion_tokens"], body["choices"][0]["finish_reason"]) == (100, "length")
        v0 = (await client.post("/api/v0/chat/completions", json=chat(max_tokens=1000))).json()
        assert v0["stats"]["stop_reason"] == "contextLengthReached"


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "300000000"}], ids=["counted", "announced"])
async def test_r16_a_body_of_300_megabytes_is_not_read(headers: dict[str, str]) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(300):
            sent += 1
            yield b" " * 10**6

    def post(url: str) -> httpx.Response:
        return httpx.post(url + CHAT, content=pieces(), headers=headers, trust_env=False)

    async with serve(MockLMStudio([ALPHA]), port=0) as url:
        response = await trio.to_thread.run_sync(post, url)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "payload_too_large")
    assert sent < 100


async def test_a_form_is_refused() -> None:
    async with connected(MockLMStudio([ALPHA])) as client:
        response = await client.post(CHAT, files={"file": b"x"})
    assert response.status_code == 415


@pytest.mark.parametrize("host", ["a\0b", "x" * 300, "..", "\ud800"])
def test_r16_a_host_that_is_none_is_an_error_of_one_line(capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert main(["serve", "--port", "0", "--host", host]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


async def test_a_port_that_is_none() -> None:
    with pytest.raises(ConfigurationError):
        async with serve(MockLMStudio([ALPHA]), port=70_000):
            pass
