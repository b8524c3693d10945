"""The first wish of this project, word by word: a singleton for LM Studio, an async model provider, a trading graph. Each test is named
after the words that it is about; where other tests go further, they are in the files beside this one."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from adapters import LMStudioSingleton, ModelProvider, get_lmstudio_singleton
from examples.trading_graph import ANALYSTS, LATER, TradingGraph, run
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.transport import StreamingTransport
from statemachine import AdapterInstantiationError, ConfigurationError

from .lmstudio import SHORT, URL, A, B, fast, ids, mock, on_a_socket

Clock = trio.testing.MockClock
OTHER_URL = "http://localhost:1235"


def config(model: str = A, url: str = URL, **more: Any) -> dict[str, Any]:
    return {"provider": "lmstudio", "model": model, "base_url": url, "max_tokens": 3, **more}


@pytest.fixture
def served() -> Iterator[tuple[MockLMStudio, str]]:
    server = fast()
    with on_a_socket(server) as url:
        yield server, url


# ---- 1. LMStudio singleton pattern ----


async def test_single_instance_per_base_url(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport:
        async with get_lmstudio_singleton(URL, transport=transport) as one:
            async with get_lmstudio_singleton(URL, transport=transport) as other:
                assert one is other


async def test_model_coordination_only_one_model_is_active_at_a_time(autojump_clock: Clock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport, get_lmstudio_singleton(URL, transport=transport) as singleton:
        async with trio.open_nursery() as nursery:
            for model in (A, B, A, B):
                nursery.start_soon(singleton.ensure_model_active, model)
    assert server.counters.peak_resident == 1


async def test_model_switching_logic_ensure_model_active(autojump_clock: Clock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport, get_lmstudio_singleton(URL, transport=transport) as singleton:
        for model in (A, B):
            await singleton.ensure_model_active(model)
            assert (singleton.current_model, ids(server)) == (model, [model])


async def test_multi_instance_support_different_base_urls_are_different_singletons(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as first, StreamingTransport(mock()) as second:
        async with get_lmstudio_singleton(URL, transport=first) as instance_a:
            async with get_lmstudio_singleton(OTHER_URL, transport=second) as instance_b:
                await instance_a.ensure_model_active(A)
                await instance_b.ensure_model_active(B)
                assert (instance_a.current_model, instance_b.current_model) == (A, B)


async def test_metrics_and_monitoring_model_usage_and_instance_counts(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport, get_lmstudio_singleton(URL, transport=transport) as singleton:
        await (await singleton.get_model(A)).invoke("hello", **SHORT)
        metrics = singleton.metrics()
        assert (dict(metrics.calls), metrics.instances, metrics.current_model) == ({A: 1}, 1, A)
        assert LMStudioSingleton.all_metrics() == {singleton.base_url: metrics}


async def test_caching_model_instances_are_reused(autojump_clock: Clock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport, get_lmstudio_singleton(URL, transport=transport) as singleton:
        assert await singleton.get_model(A) is await singleton.get_model(A)
        assert server.counters.loads == 1


# ---- 2. Async model provider ----


async def test_create_model_async_is_the_primary_method(autojump_clock: Clock) -> None:
    assert inspect.iscoroutinefunction(ModelProvider.create_model_async)
    async with StreamingTransport(mock()) as transport, ModelProvider(transport=transport) as provider:
        model = await provider.create_model_async(config())
        assert (await model.invoke("hello")).text


async def test_create_agent_models_async_sets_up_the_agents_models(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport, ModelProvider(transport=transport) as provider:
        models = await provider.create_agent_models_async(quick=config(A), deep=config(B))
        assert (models.quick.model_id, models.deep.model_id) == (A, B)


async def test_lmstudio_integration_uses_the_singleton_internally(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport, ModelProvider(transport=transport) as provider:
        await provider.preload_model(config())
        assert [metrics.current_model for metrics in LMStudioSingleton.all_metrics().values()] == [A]


async def test_model_caching_instances_are_reused_across_agents(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport, ModelProvider(transport=transport) as provider:
        models = await provider.create_agent_models_async(config(), config())
        assert models.quick is models.deep


def test_backward_compatibility_deprecated_sync_methods_still_work_with_warnings(
    served: tuple[MockLMStudio, str],
) -> None:
    _, url = served
    provider = ModelProvider()
    with pytest.warns(DeprecationWarning, match="create_model_async"):
        model = provider.create_model(config(A, url))
    with pytest.warns(DeprecationWarning, match="create_agent_models_async"):
        models = provider.create_agent_models(config(A, url), config(B, url))
    assert [one.invoke("hello").finish_reason for one in (model, models.quick, models.deep)] == ["length"] * 3
    provider.close()


async def test_error_handling_comprehensive_validation() -> None:
    with pytest.raises(ConfigurationError, match="must be one of"):
        ModelProvider().validate_config(config(options={"no_such_option": 1}))


# ---- 3. Trading graph integration ----


def test_initialize_models_helper_methods_and_null_safety() -> None:
    async def main() -> None:
        graph = TradingGraph(
            {"llm_provider": "lmstudio", "backend_url": URL, "quick_think_llm": A, "deep_think_llm": B}
        )
        for helper in graph.get_quick_thinking_model, graph.get_deep_thinking_model:
            with pytest.raises(RuntimeError, match="initialize_models"):
                helper()
        async with graph.provider:
            await graph.initialize_models()
            assert graph.get_quick_thinking_model().model_id == A
            assert graph.get_deep_thinking_model().model_id == B

    asyncio.run(main())


def test_agent_coordination_six_agents_quick_and_deep(served: tuple[MockLMStudio, str]) -> None:
    server, url = served
    both = {"llm_provider": "lmstudio", "backend_url": url, "quick_think_llm": A, "deep_think_llm": B}
    graph, _ = run("asyncio", both, ["ACME"])
    models = {call.agent: call.model for call in graph.calls}
    assert {agent: models[agent] for agent in ANALYSTS} == dict.fromkeys(ANALYSTS, A)
    assert {agent: models[agent] for agent in LATER} == {"research manager": B, "trader": A, "risk manager": B}
    assert server.counters.cut == 0


# ---- Key benefits ----


async def test_non_blocking_model_initialization(autojump_clock: Clock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport, ModelProvider(transport=transport) as provider:
        began = trio.current_time()
        await provider.create_agent_models_async(config(A), config(B))
        assert trio.current_time() == began
        assert server.counters.loads == 0


async def test_graceful_degradation_when_services_are_unavailable() -> None:
    async with ModelProvider() as provider:
        down = config(url="http://127.0.0.1:9")
        assert not (await provider.test_connection(down)).reachable
        model = await provider.create_model_async(down)
        with pytest.raises(AdapterInstantiationError):
            await model.invoke("hello")


async def test_clean_migration_path_async_methods_do_not_warn(autojump_clock: Clock) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with StreamingTransport(mock()) as transport, ModelProvider(transport=transport) as provider:
            await provider.create_agent_models_async(config(A), config(B))
