"""The mock server on loopback, seen by the official ``openai`` client, and the command that starts it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import httpx
import openai
import pytest
import trio

from simulation.__main__ import main
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.latency import ModelSpec

FAST = ModelSpec(
    "fast", load_seconds=0, unload_seconds=0, prefill_tokens_per_second=1e9, decode_tokens_per_second=1e9, parallel=1
)


def stream_chat(url: str) -> tuple[str, str | None, openai.types.CompletionUsage | None]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="fast",
                messages=[{"role": "user", "content": "Tell me."}],
                max_tokens=5,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    (finish_reason,) = {choice.finish_reason for chunk in chunks for choice in chunk.choices} - {None}
    return text, finish_reason, chunks[-1].usage


def whole_chat(url: str, model: str = "fast") -> openai.types.chat.ChatCompletion:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        return client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Tell me."}], max_tokens=5
        )


async def test_the_openai_client_streams_a_chat() -> None:
    server = MockLMStudio([FAST])
    async with serve(server, port=0) as url:
        text, finish_reason, usage = await trio.to_thread.run_sync(stream_chat, url)
        whole = await trio.to_thread.run_sync(whole_chat, url)
    assert len(text.split()) == 5
    assert finish_reason == "length"
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (2, 5, 7)
    assert whole.choices[0].message.content == text, "the answer does not depend on how it is sent"
    assert whole.usage == usage
    assert server.counters.loads == 1


async def test_the_openai_client_has_a_type_for_an_unknown_model() -> None:
    async with serve(MockLMStudio([FAST]), port=0) as url:
        with pytest.raises(openai.BadRequestError) as caught:
            await trio.to_thread.run_sync(whole_chat, url, "o4-mini")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "fast" in caught.value.message


async def test_a_client_that_leaves_frees_its_slot() -> None:
    server = MockLMStudio([FAST])
    server.faults.break_next_stream("stall", after_chunks=1)
    chat = {"model": "fast", "messages": [], "stream": True, "max_tokens": 3}
    async with serve(server, port=0) as url, httpx.AsyncClient(base_url=url) as client:
        async with client.stream("POST", "/v1/chat/completions", json=chat) as response:
            with trio.CancelScope() as scope:
                async for _ in response.aiter_bytes():
                    scope.cancel()
        answer = await client.post("/v1/chat/completions", json=chat)  # needs the only slot
    assert answer.text.endswith("data: [DONE]\n\n")
    assert (server.counters.abandoned, server.counters.answered) == (1, 1)


async def test_requests_are_printed_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for log_requests in (False, True):
        async with serve(MockLMStudio([FAST]), port=0, log_requests=log_requests) as url:
            async with httpx.AsyncClient(base_url=url) as client:
                await client.get("/v1/models")
    assert capsys.readouterr() == ("GET /v1/models 200\n", "")


async def test_a_dropped_stream_is_a_cut_connection() -> None:
    server = MockLMStudio([FAST])
    server.faults.break_next_stream("drop", after_chunks=2)
    chat = {"model": "fast", "messages": [], "stream": True, "max_tokens": 3}
    async with serve(server, port=0) as url, httpx.AsyncClient(base_url=url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/v1/chat/completions", json=chat)


def test_the_command_announces_its_address_and_ends_when_interrupted() -> None:
    # a shell without job control starts its children with SIGINT ignored
    script = "import runpy, signal; signal.signal(2, signal.default_int_handler); runpy.run_module('simulation', run_name='__main__')"
    command = [sys.executable, "-W", "error", "-c", script, "serve", "--port", "0", "--model", "mine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        announced = process.stdout.readline()
        try:
            url = announced.split()[0]
            listed = httpx.get(f"{url}/v1/models", trust_env=False).json()
        finally:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert announced == f"{url} serves mine\n"
    assert [model["id"] for model in listed["data"]] == ["mine"]
    assert (process.returncode, errors) == (0, "")


def test_the_command_says_when_the_port_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert str(port) in error


def test_the_command_refuses_a_model_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--model", ""]) == 2
    assert capsys.readouterr().err.startswith("error: key: ")


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_the_command_refuses_what_is_no_port(capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert main(["serve", f"--port={port}"]) == 2
    assert port in capsys.readouterr().err
