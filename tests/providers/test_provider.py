"""The model provider: models by configuration, from trio, asyncio and plain code, on servers that are up and that are down."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import aclosing, closing
from typing import Any

import pytest
import trio
import trio.testing

from adapters import FakeAdapter, LMStudioSingleton, ModelProvider
from adapters.providers import AgentModelConfig, ModelConfig
from adapters.providers.kinds import KINDS
from simulation.mock.transport import StreamingTransport
from statemachine import (
    AdapterInstantiationError,
    ConfigurationError,
    ManagerClosedError,
    ProviderConfig,
    UnknownProviderError,
    WrongEventLoopError,
)
from tests.bridge.world import check_threads_have_ended

from .lmstudio import SHORT, URL, A, B, ids, mock, on_a_socket

Clock = trio.testing.MockClock


def lmstudio(model: str = A, url: str = URL, **more: Any) -> dict[str, Any]:
    return {"provider": "lmstudio", "model": model, "base_url": url, "max_tokens": 3, **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_models_of_one_configuration_are_one(autojump_clock: Clock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport, ModelProvider(transport=transport) as provider:
        model = await provider.create_model_async(lmstudio())
        assert await provider.create_model_async(ModelConfig("lmstudio", A, URL, parameters=SHORT)) is model
        assert await provider.create_model_async(lmstudio(temperature=0.0)) is not model
        assert await provider.create_model_async(lmstudio(B)) is not model
        assert server.counters.loads == 0, "nothing is loaded before it is used"
        assert (await model.invoke("hello")).finish_reason == "length"
        assert ids(server) == [A]
    assert ids(server) == []


async def test_zero_is_a_temperature(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport, ModelProvider(transport=transport) as provider:
        model = await provider.create_model_async(lmstudio(temperature=0.0))
        assert dict(model.parameters) == {"temperature": 0.0, "max_tokens": 3}


async def test_two_providers_share_the_servers_singleton(autojump_clock: Clock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        async with ModelProvider(transport=transport) as one, ModelProvider(transport=transport) as other:
            models = [await one.create_model_async(lmstudio(A)), await other.create_model_async(lmstudio(B))]
            async with trio.open_nursery() as nursery:
                for model in models * 2:
                    nursery.start_soon(model.invoke, "hello")
            assert len(LMStudioSingleton.all_metrics()) == 1
    assert server.counters.peak_resident == 1
    assert server.counters.cut == 0


async def test_agent_models(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport, ModelProvider(transport=transport) as provider:
        models = await provider.create_agent_models_async(lmstudio(A), lmstudio(B))
        assert (models.quick.model_id, models.deep.model_id) == (A, B)
        again = await provider.create_from_config({"quick": lmstudio(A), "deep": lmstudio(B)})
        assert (again.quick, again.deep) == (models.quick, models.deep)
        by_names = await provider.create_from_config(
            {"llm_provider": "LMStudio", "backend_url": URL, "quick_think_llm": A, "deep_think_llm": B, "debates": 2}
        )
        assert by_names.deep.config == models.deep.config
        with pytest.raises(ConfigurationError, match="deep_think_llm"):
            await provider.create_from_config({"llm_provider": "lmstudio", "quick_think_llm": A})


async def test_preloading(autojump_clock: Clock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport, ModelProvider(transport=transport) as provider:
        model = await provider.preload_model(lmstudio())
        assert ids(server) == [A]
        began = trio.current_time()
        await model.invoke("hello")
        assert trio.current_time() - began < 2
        await server.unload(server.loaded[0])
        await provider.preload_model(lmstudio())
        assert ids(server) == [A]


async def test_a_further_provider(autojump_clock: Clock) -> None:
    own = ProviderConfig("own", FakeAdapter, is_local=True, base_options={"load_seconds": 1})
    async with ModelProvider([own]) as provider:
        model = await provider.create_model_async({"provider": "own", "model": "m", "options": {"tokens": ["a", "b"]}})
        answer = await model.invoke("hello")
        assert (str(answer), answer.finish_reason, answer.usage) == ("ab", "stop", {"completion_tokens": 2})
        assert [str(one) for one in await model.batch(["x", "y", "z"])] == ["ab"] * 3
        async with aclosing(model.stream("hello")) as events:
            assert [event.data async for event in events if event.type == "token"] == ["a", "b"]
        preloaded = await provider.preload_model({"provider": "own", "model": "other"})
        assert preloaded.named("ann").agent == "ann"
        status = await provider.test_connection({"provider": "own", "model": "m"})
        assert "health()" in status.detail


@pytest.mark.parametrize(
    ("config", "error", "says"),
    [
        ({"provider": "lmstudio"}, ConfigurationError, "config.model"),
        ({"provider": "unheard-of", "model": "m"}, UnknownProviderError, "unheard-of"),
        ({"provider": "lmstudio", "model": ""}, ConfigurationError, "model"),
        ({"provider": "lmstudio", "model": "m", "base_url": "localhost"}, ConfigurationError, "base_url"),
        ({"provider": "openai", "model": "m", "api_key": "with a blank"}, ConfigurationError, "api_key"),
        ({"provider": "lmstudio", "model": "m", "options": {"contextlength": 1}}, ConfigurationError, "contextlength"),
        ({"provider": "lmstudio", "model": "m", "temprature": 1}, ConfigurationError, "temprature"),
        ("lmstudio", ConfigurationError, "config"),
    ],
)
async def test_a_wrong_configuration_is_refused_when_it_is_given(
    config: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        ModelProvider().validate_config(config)
    assert "with a blank" not in str(caught.value)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_made(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.setenv(variable, f"key-of-{variable}")
    checked = ModelProvider().validate_config({"provider": kind, "model": "m"})
    assert checked.provider == kind


@pytest.mark.parametrize("kind", ["gemini", "google", "openrouter"])
def test_the_key_of_openai_is_sent_nowhere_else(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-key-of-openai")
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    assert KINDS[kind].options(None, None)["api_token"] is None
    assert KINDS[kind].options(None, "own")["api_token"] == "own"
    monkeypatch.setenv("GEMINI_API_KEY", "google's")
    monkeypatch.setenv("OPENROUTER_API_KEY", "openrouter's")
    assert KINDS[kind].options(None, None)["api_token"] in ("google's", "openrouter's")


async def test_a_server_that_is_down_is_told_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with ModelProvider() as provider:
        status = await provider.test_connection(lmstudio(url=url))
        assert (status.reachable, status.ready, status.base_url) == (
            False,
            False,
            url.replace("127.0.0.1", "localhost"),
        )
        assert status.detail
        with pytest.raises(AdapterInstantiationError):
            await (await provider.create_model_async(lmstudio(url=url))).invoke("hello")


async def test_a_server_that_is_silent_is_waited_for_no_longer_than_was_said(autojump_clock: Clock) -> None:
    async def silent(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        await trio.sleep_forever()

    async with StreamingTransport(silent) as transport, ModelProvider(transport=transport) as provider:
        began = trio.current_time()
        first, second = await provider.provider_status(lmstudio(A), lmstudio(B), timeout=2)
        assert (first.model, second.model) == (A, B)
        assert "within 2 s" in first.detail
        assert trio.current_time() - began == pytest.approx(2, abs=0.1)


async def test_a_server_that_is_up(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport, ModelProvider(transport=transport) as provider:
        (status,) = await provider.provider_status(lmstudio())
        assert (status.reachable, status.ready, status.detail) == (True, False, "the model is not loaded")


async def test_before_and_after_its_life_it_says_so(autojump_clock: Clock) -> None:
    provider = ModelProvider()
    with pytest.raises(ManagerClosedError, match="async with"):
        await provider.create_model_async(lmstudio())
    async with provider:
        with pytest.warns(DeprecationWarning, match="create_model"), pytest.raises(WrongEventLoopError):
            provider.create_model(lmstudio())
    with pytest.raises(ManagerClosedError):
        await provider.create_model_async(lmstudio())


def test_from_asyncio() -> None:
    async def main(url: str) -> None:
        async with ModelProvider() as provider:
            models = await provider.create_agent_models_async(lmstudio(A, url), lmstudio(B, url))
            answers = await asyncio.gather(*(m.invoke("hello") for m in (models.quick, models.deep) * 3))
            assert all(answer.text for answer in answers)
            # old code, called in the middle of an asyncio program
            with pytest.warns(DeprecationWarning, match="create_model"):
                old = provider.create_model(lmstudio(A, url))
            assert old.invoke("hello").text == answers[0].text
            (status,) = await provider.provider_status(lmstudio(A, url))
            assert status.reachable

    with on_a_socket() as url:
        asyncio.run(main(url))
    check_threads_have_ended()


def test_old_synchronous_code_goes_on_working() -> None:
    with on_a_socket() as url:
        provider = ModelProvider()
        with pytest.warns(DeprecationWarning, match="create_model_async"):
            model = provider.create_model(lmstudio(A, url))
        answer = model.invoke("hello")
        assert [str(one) for one in model.batch(["hello", "hello"])] == [answer.text] * 2
        with closing(model.stream("hello")) as events:
            assert "".join(str(event.data) for event in events if event.type == "token") == answer.text
        with pytest.warns(DeprecationWarning, match="create_agent_models_async"):
            models = provider.create_agent_models(lmstudio(A, url), lmstudio(B, url))
        assert models.deep.named("ann").invoke("hello").text
        provider.close()
    check_threads_have_ended()


def test_configurations_show_no_secret() -> None:
    config = ModelConfig("openai", "m", api_key="sk-secret", options={"headers": {"x": "sk-secret"}})
    assert "sk-secret" not in repr(config)
    assert "sk-secret" not in repr(AgentModelConfig(config, config))
