"""A secret goes in at every place where one can be given: it comes out in no repr, log, error, statistic, trace, report, pickle or plot.

What sends it back is a server that repeats whatever it was sent, in its errors and in its streams.
"""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import trio

from adapters import (
    AnthropicAdapter,
    LlamaCppAdapter,
    LMStudioAdapter,
    OllamaAdapter,
    OpenAIAdapter,
    Retrying,
)
from adapters.__main__ import main as adapters_main
from adapters.gateway.recording import Recorder
from simulation.__main__ import main as simulation_main
from simulation.drivers.recorder import TraceRecorder
from simulation.mock.lmstudio.server import MockLMStudio
from simulation.mock.threaded import serve_in_a_thread
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine import (
    CallOptions,
    ConfigurationError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ProviderManagerError,
    ReasoningEngine,
    RuntimeProviderConfig,
    Transition,
)
from statemachine.config.adapter import AdapterConfig
from statemachine.journal.writer import Journal

from ..adapters.loopback import Loopback, Reply, Request, loopback
from ..gateway.served import GEMMA, served
from .planted import Outputs, secret

MODEL = "maker/m"
CALLS_OF_EACH = 8
TOOL = {"type": "function", "function": {"name": "f", "description": secret("tool")}}
PROMPT = [{"role": "user", "content": f"keep {secret('prompt')} to yourself"}]
PARAMETERS = {"user": secret("parameter"), "extra_headers": {"X-Extra": secret("header of a call")}}


@pytest.fixture
def outputs(caplog: pytest.LogCaptureFixture) -> Outputs:
    caplog.set_level(logging.DEBUG)
    return Outputs()


def echoes() -> Iterator[Callable[[Request], Reply]]:
    """Answers, in turn, each of which holds all that was sent but the body."""

    def sent(request: Request) -> str:
        return f"{request.method} {request.path} {json.dumps(request.headers)}"

    def whole(request: Request, status: int) -> Reply:
        error = {
            "error": {"message": sent(request), "type": sent(request), "code": sent(request), "param": sent(request)}
        }
        return Reply([json.dumps(error).encode()], status, {"Content-Type": "application/json", "X-Echo": "yes"})

    def streamed(request: Request) -> Reply:
        data = json.dumps({"error": {"message": sent(request)}})
        return Reply([f"data: {data}\n\n{data}\n".encode()], headers={"Content-Type": "text/event-stream"})

    kinds = [partial(whole, status=status) for status in (200, 400, 401, 404, 429, 500)]
    return cycle([*kinds, streamed, lambda request: Reply([sent(request).encode()], 502)])


def providers(url: str, owned: Path) -> list[ProviderConfig]:
    """Every adapter, with a secret in each of its options that can hold one. ``owned``: where loads are noted."""
    with_user = url.replace("http://", f"http://user:{secret('userinfo')}@")
    given = {"base_url": with_user, "api_token": secret("token")}
    api = {**given, "headers": {"X-Organization": secret("header")}}
    loads = {**given, "owned_file": str(owned)}
    from_environment = {"base_url": url}
    local: list[tuple[str, Any]] = [
        ("lmstudio", LMStudioAdapter),
        ("ollama", OllamaAdapter),
        ("llamacpp", LlamaCppAdapter),
    ]
    return [
        *(ProviderConfig(name, kind, is_local=True, base_options=loads) for name, kind in local),
        *(ProviderConfig(f"{name}-env", kind, is_local=True, base_options=from_environment) for name, kind in local),
        ProviderConfig("openai", OpenAIAdapter, base_options=api),
        ProviderConfig("openai-env", OpenAIAdapter, base_options=from_environment),
        ProviderConfig("responses", OpenAIAdapter, base_options={**api, "api": "responses"}),
        ProviderConfig("anthropic", AnthropicAdapter, base_options=given),
        ProviderConfig("anthropic-env", AnthropicAdapter, base_options=from_environment),
        ProviderConfig("retrying", Retrying(OpenAIAdapter, attempts=2, longest_pause=0.01), base_options=api),
    ]


VARIABLES = ("LM_API_TOKEN", "OLLAMA_API_KEY", "LLAMA_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY")


async def test_no_library_output_shows_one(
    outputs: Outputs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, secret(variable))
    replies = echoes()
    recorder, seen = TraceRecorder(), list[Transition]()
    async with loopback(lambda request: next(replies)(request)) as server:
        with Journal(tmp_path / "journal.jsonl") as journal:
            await _use(server, journal, recorder, seen, outputs, tmp_path / "owned")
        assert len(server.requests) > 100
        sent = json.dumps([request.headers for request in server.requests])
    for place in ("token", "header", "header of a call", *VARIABLES):
        assert secret(place) in sent, f"the server got {place}, and could repeat it"
    outputs.add("a transition", *seen)
    recorder.write(tmp_path / "trace.jsonl")
    assert outputs.add_files(tmp_path) == ["journal.jsonl", "owned", "trace.jsonl"]
    outputs.add_log(caplog)
    assert "status 401" in outputs, "the errors were told"
    assert outputs.leaks() == []


async def _use(
    server: Loopback,
    journal: Journal,
    recorder: TraceRecorder,
    seen: list[Transition],
    outputs: Outputs,
    owned: Path,
) -> None:
    given = [replace(each, adapter=recorder.watched(each.adapter)) for each in providers(server.url, owned)]
    config = ProviderManagerConfig(given, on_conflict="wait", local_scope="endpoint")
    outputs.add("a configuration", config, *config.available_providers)
    manager = ProviderManager(config, core=journal.core, observers=[recorder, seen.append])
    async with manager:
        engine = ReasoningEngine(manager)
        for provider in config.available_providers:
            adapter_config = AdapterConfig(provider.name, MODEL, dict(provider.base_options))
            outputs.add("an adapter", provider.adapter(adapter_config), adapter_config)
            for number in range(CALLS_OF_EACH):
                runtime = RuntimeProviderConfig(provider.name, MODEL)
                options = CallOptions(runtime, parameters=PARAMETERS, tools=[TOOL], stream=number % 3 > 0, timeout=5)
                outputs.add("options of a call", options, runtime)
                await _call(engine, options, outputs)
            outputs.add("the statistics", manager.statistics(), asdict(manager.statistics()), manager)


async def _call(engine: ReasoningEngine, options: CallOptions, outputs: Outputs) -> None:
    try:
        async with engine.call(PROMPT, options) as stream:
            outputs.add("a lease", stream.lease)
            async for event in stream:
                outputs.add("an event", event)
    except ProviderManagerError as error:
        outputs.add("an error", error)
        if error.__cause__ is not None:
            outputs.add("the cause of an error", error.__cause__)


@pytest.mark.parametrize("kind", [LMStudioAdapter, OllamaAdapter, LlamaCppAdapter, OpenAIAdapter, AnthropicAdapter])
@pytest.mark.parametrize(
    "options",
    [
        {"base_url": f"http://host/v1?key={secret('query')}"},
        {"base_url": f"http://host/v1#{secret('fragment')}"},
        {"base_url": f"ftp://user:{secret('userinfo')}@host"},
        {"base_url": secret("no URL")},
        {"api_token": f"{secret('token')} with blanks"},
        {"api_token": secret("token"), "api_key": secret("key")},
        {"read_timeout": secret("in a wrong place")},
        {"headers": {"X-Key": f"{secret('header')}\r\nY: z"}},
        {"headers": secret("header")},
        {"unknown": secret("in an unknown option")},
    ],
)
def test_no_refusal_shows_one(kind: Any, options: dict[str, Any], outputs: Outputs) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(AdapterConfig("p", MODEL, options))
    outputs.add("a refusal", caught.value)
    assert outputs.leaks() == []


async def test_no_output_of_the_gateway_shows_one(
    outputs: Outputs,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    token = {"TOKEN": secret("token of the gateway")}
    headers = {
        "Authorization": f"Bearer {token['TOKEN']}",
        "Cookie": f"session={secret('cookie')}",
        "X-Own": secret("header of a client"),
    }
    body = {"model": f"studio/{GEMMA}", "messages": PROMPT, "max_tokens": 3, "metadata": {"key": secret("metadata")}}
    query = f"?key={secret('query of a client')}"
    with Journal(tmp_path / "journal.jsonl") as journal, Recorder(tmp_path / "trace.jsonl") as recorder:
        async with served(environment=token, journal=journal, recorder=recorder, token_env="TOKEN") as gateway:

            async def ask(path: str, sent: object = None, **more: str) -> tuple[int, str]:
                asked = partial(_asked, gateway.url + path + query, {**headers, **more}, sent)
                return await trio.to_thread.run_sync(asked)

            for path in ("/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/nothing", "/agent/ann/v1/responses"):
                for sent in (body, {**body, "model": "none"}, {**body, "stream": True}, {**body, "max_tokens": "x"}):
                    status, answer = await ask(path, sent)
                    if status != 200:  # an answer is the client's own
                        outputs.add(f"the answer to {path}", answer)
            gateway.server.faults.fail_next_load()
            outputs.add("a failed load", (await ask("/v1/chat/completions", {**body, "model": "studio/qwen"}))[1])
            wrong = {"Authorization": f"Bearer {secret('wrong token')}", "X-API-Key": secret("wrong key")}
            status, answer = await ask("/v1/chat/completions", body, **wrong)
            assert status == 401
            outputs.add("the answer to a wrong token", answer)
            for path in ("/", "/status", "/metrics", "/v1/models", "/api/tags", "/api/ps", "/health"):
                outputs.add(f"GET {path}", (await ask(path))[1])
            for given in (token["TOKEN"], secret("wrong token")):
                monkeypatch.setenv("LLM_SLOTS_TOKEN", given)
                for words in (
                    ["models"],
                    ["load", GEMMA],
                    ["chat", GEMMA, "hello"],
                    ["unload", "--all"],
                    ["load", "none"],
                ):
                    await trio.to_thread.run_sync(adapters_main, [*words, "--gateway", gateway.url])
            outputs.add("the settings", gateway.gateway.settings)
            assert GEMMA in outputs
    assert outputs.add_files(tmp_path) == ["journal.jsonl", "trace.jsonl"]
    outputs.add_log(caplog)
    printed = capfd.readouterr()
    outputs.add("what was printed", printed.out, printed.err)
    assert outputs.leaks() == []


def _asked(url: str, headers: dict[str, str], body: object) -> tuple[int, str]:
    """The status, and the head and body of the answer. A client that logs nothing: a log is the gateway's own."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            return answer.status, f"{answer.headers} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return error.code, f"{error.headers} {error.read().decode()}"


def test_no_report_or_plot_of_a_simulation_shows_one(
    outputs: Outputs, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LM_API_TOKEN", secret("LM_API_TOKEN"))
    server = MockLMStudio(
        [
            ModelSpec(key, load_seconds=0.01, prefill_tokens_per_second=1e7, decode_tokens_per_second=1e5)
            for key in ("small", "large")
        ],
        LatencyProfile(jitter=0),
        api_token=secret("LM_API_TOKEN"),
    )
    with serve_in_a_thread(server) as url:
        with_user = url.replace("http://", f"http://user:{secret('userinfo')}@")
        extra = json.dumps({"X-Key": secret("header of a call")})
        workload = ["--workload", "poisson", "--rate", "100", "--requests", "4", "--max-prompt", "500"]
        command = ["replay", "--base-url", with_user, "--models", "small,large", *workload]
        report = tmp_path / "report"
        given = ["--parameter", f"extra_headers={extra}", "--parameter", f'user="{secret("parameter")}"']
        assert simulation_main([*command, *given, "--out", str(report)]) == 0
        with suppress(SystemExit):
            simulation_main([*command, "--parameter", f"user={secret('parameter')}", "--out", str(tmp_path / "second")])
        for words in (["models"], ["status", "--provider", "lmstudio"], ["chat", "small", "hello"], ["load", "none"]):
            options = ["--base-url", with_user, "--api-key", secret("LM_API_TOKEN")]
            with suppress(SystemExit):
                adapters_main([*words, *options])
    written = outputs.add_files(tmp_path)
    assert {path.rpartition(".")[2] for path in written} >= {"html", "png"}, written
    printed = capfd.readouterr()
    outputs.add("what was printed", printed.out, printed.err)
    assert outputs.leaks() == []


def test_a_leak_would_be_found(tmp_path: Path) -> None:
    outputs = Outputs()
    outputs.add("an error", ValueError(f"no {secret('token')}"), ExceptionGroup("g", [KeyError(secret("header"))]))
    (tmp_path / "file").write_bytes(b"\x00" + secret("query").encode().hex().encode())
    outputs.add_files(tmp_path)
    assert outputs.leaks() == ["an error shows header", "an error shows token", "file shows query"]
