"""The manager and its adapters on a real llama.cpp server: every test asks the server itself what happened."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import Any

import pytest
import trio

from adapters import LlamaCppAdapter, OpenAIAdapter
from statemachine import AdapterConfig, StreamEvent
from statemachine.errors import AdapterError, AdapterInstantiationError, ModelEvictedError, ModelNotFoundError

from .agents import answer, engine, failure, tokens
from .conftest import Family
from .llama_server import LlamaServer

A, B = "model-a", "model-b"
FOR_EVER = 8000

pytestmark = pytest.mark.timeout(240)
each_adapter = pytest.mark.parametrize("adapter", [LlamaCppAdapter, OpenAIAdapter])


@pytest.fixture
def loads(server: LlamaServer) -> list[str]:
    """What the server had loaded before the test."""
    return server.loads()


@each_adapter
async def test_a_model_is_loaded_and_answers(server: LlamaServer, loads: list[str], adapter: Any) -> None:
    async with engine(server.url, adapter) as agents:
        streamed = await answer(agents, A, 30)
        whole = await answer(agents, A, 30, stream=False)
        assert server.resident() == [A]
    for events in (streamed, whole):
        assert tokens(events) == 30
        assert events[-1] == StreamEvent("end", "length")
    assert server.loads() == [*loads, A]


async def test_what_was_loaded_is_unloaded_at_the_end_and_what_was_not_is_not(server: LlamaServer) -> None:
    async with engine(server.url) as agents:
        await answer(agents, A)
    assert server.resident() == []
    server.load(A)
    async with engine(server.url) as agents:
        await answer(agents, A)
    assert server.resident() == [A]


async def test_the_progress_of_a_load_is_told(server: LlamaServer) -> None:
    adapter = LlamaCppAdapter(AdapterConfig("llama", A, {"base_url": server.url}))
    told = []
    async with aclosing(adapter.progress()) as progress, trio.open_nursery() as nursery:
        nursery.start_soon(adapter.start)
        async for step in progress:
            told.append(step)
    await adapter.shutdown()
    assert told[-1].state == "loaded"
    assert {step.stage for step in told if step.done is not None} <= {"text_model"}


@each_adapter
async def test_a_switch(server: LlamaServer, loads: list[str], adapter: Any) -> None:
    async with engine(server.url, adapter) as agents:
        for model in (A, B, A):
            await answer(agents, model)
            assert server.resident() == [model]
    assert server.loads() == [*loads, A, B, A]


@each_adapter
async def test_a_switch_waits_for_the_answers_that_are_being_made(
    server: LlamaServer, loads: list[str], family: Family, adapter: Any
) -> None:
    log: list[str] = []
    begun = trio.Event()
    async with engine(server.url, adapter) as agents, trio.open_nursery() as nursery:
        nursery.start_soon(partial(answer, agents, A, family.long, begun=begun, log=log))
        await begun.wait()
        await answer(agents, B, log=log)
    assert log == [f"{A} begins", f"{A} ends", f"{B} begins", f"{B} ends"]
    assert server.loads() == [*loads, A, B]


@each_adapter
async def test_an_answer_that_is_cancelled_frees_the_server(
    server: LlamaServer, loads: list[str], adapter: Any
) -> None:
    begun = trio.Event()
    async with engine(server.url, adapter) as agents:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(answer, agents, A, FOR_EVER, begun=begun))
            await begun.wait()
            assert server.is_answering(A)
            nursery.cancel_scope.cancel()
        server.wait_idle(A)
        assert tokens(await answer(agents, A)) == 20
        await answer(agents, B)
    assert server.loads() == [*loads, A, B]


@each_adapter
async def test_an_unknown_model_is_not_found_and_disturbs_nothing(
    server: LlamaServer, loads: list[str], adapter: Any
) -> None:
    """Before its load, where one is asked for; else as the server's own refusal of the call."""
    async with engine(server.url, adapter) as agents:
        with pytest.raises((AdapterInstantiationError, AdapterError)) as caught:
            await answer(agents, "none")
        error = caught.value.__cause__ if adapter.is_local else caught.value
        assert isinstance(error, ModelNotFoundError if adapter.is_local else AdapterError)
        assert not error.retryable
        assert tokens(await answer(agents, A)) == 20
    assert server.loads() == [*loads, A]


@each_adapter
async def test_a_server_that_is_killed_and_comes_back(server: LlamaServer, loads: list[str], adapter: Any) -> None:
    begun = trio.Event()
    async with engine(server.url, adapter) as agents:
        async with trio.open_nursery() as nursery:

            async def broken_call() -> None:
                error = await failure(agents, A, FOR_EVER, begun=begun)
                assert error.retryable
                assert error.broken or not adapter.is_local

            nursery.start_soon(broken_call)
            await begun.wait()
            server.kill()
        server.start()
        assert tokens(await answer(agents, A)) == 20
    assert server.loads() == [*loads, A, A]


async def test_f26_a_model_that_dies_in_mid_answer_is_reported_and_loaded_again(
    server: LlamaServer, loads: list[str]
) -> None:
    begun = trio.Event()
    async with engine(server.url) as agents:
        async with trio.open_nursery() as nursery:

            async def broken_call() -> None:
                error = await failure(agents, A, FOR_EVER, begun=begun)
                assert isinstance(error, ModelEvictedError), repr(error)

            nursery.start_soon(broken_call)
            await begun.wait()
            server.kill_model()
        assert tokens(await answer(agents, A)) == 20
    assert server.loads() == [*loads, A, A]
    assert server.resident() == []


async def test_f27_a_load_that_fails_is_reported_with_its_cause(server: LlamaServer, broken_model: str) -> None:
    async with engine(server.url) as agents:
        with pytest.raises(AdapterInstantiationError) as caught, trio.fail_after(60):
            await answer(agents, broken_model)
        assert "exit code 1" in str(caught.value.__cause__)
        assert tokens(await answer(agents, A)) == 20


async def test_a_model_that_somebody_else_unloads_is_noticed(server: LlamaServer, loads: list[str]) -> None:
    async with engine(server.url) as agents:
        await answer(agents, A)
        server.unload(A)
        assert isinstance(await failure(agents, A), ModelEvictedError)
        assert tokens(await answer(agents, A)) == 20
    assert server.loads() == [*loads, A, A]


async def test_two_managers_take_turns_and_notice_each_other(
    server: LlamaServer, loads: list[str], family: Family
) -> None:
    """They are not coordinated: the busy server makes one wait, and the other sees that its model is gone."""
    begun = trio.Event()
    async with engine(server.url) as ours, engine(server.url) as theirs:
        async with trio.open_nursery() as nursery:

            async def long_call() -> None:
                assert tokens(await answer(ours, A, family.long, begun=begun)) == family.long

            nursery.start_soon(long_call)
            await begun.wait()
            assert tokens(await answer(theirs, B)) == 20
        assert server.resident() == [B]
        error = await failure(ours, A)
        assert isinstance(error, ModelEvictedError), repr(error)
        assert tokens(await answer(ours, A)) == 20
        assert server.resident() == [A]
    assert server.loads() == [*loads, A, B, A]
    assert server.resident() == []


async def test_two_managers_of_an_api_wait_in_the_server(server: LlamaServer, loads: list[str], family: Family) -> None:
    """The server swaps for one of them when it has made the other's answer: no client can notice."""
    begun = trio.Event()
    async with engine(server.url, OpenAIAdapter) as ours, engine(server.url, OpenAIAdapter) as theirs:
        async with trio.open_nursery() as nursery:

            async def long_call() -> None:
                assert tokens(await answer(ours, A, family.long, begun=begun)) == family.long

            nursery.start_soon(long_call)
            await begun.wait()
            assert tokens(await answer(theirs, B)) == 20
        assert tokens(await answer(ours, A)) == 20
    assert server.loads() == [*loads, A, B, A]


async def test_two_managers_share_a_model_and_only_its_loader_unloads_it(server: LlamaServer, loads: list[str]) -> None:
    async with engine(server.url) as ours:
        await answer(ours, A)
        async with engine(server.url) as theirs:
            await answer(theirs, A)
        assert server.resident() == [A]
        assert tokens(await answer(ours, A)) == 20
    assert server.resident() == []
    assert server.loads() == [*loads, A]


@each_adapter
async def test_f24_no_call_of_many_is_lost(server: LlamaServer, loads: list[str], adapter: Any) -> None:
    """The server closes the connection of a streamed answer, whatever it announces."""
    async with engine(server.url, adapter) as agents:
        for _ in range(60):
            assert tokens(await answer(agents, A, 2)) == 2
    assert server.loads() == [*loads, A]


@each_adapter
async def test_agents_in_parallel_get_their_answers_whole(server: LlamaServer, family: Family, adapter: Any) -> None:
    failed: list[AdapterError] = []

    async def agent(agents: Any, number: int) -> None:
        for turn in range(family.turns):
            try:
                assert tokens(await answer(agents, (A, B)[(number + turn) // 2 % 2], 20)) == 20
            except AdapterError as error:
                failed.append(error)

    async with engine(server.url, adapter) as agents, trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(agent, agents, number)
    assert failed == []
