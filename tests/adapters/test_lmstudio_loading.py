"""LMStudioAdapter's start: what it loads, what it uses, and what it makes of the server's lists."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import ModelSpec
from statemachine import AdapterProtocolError, AdapterTimeoutError, CallOptions, ModelLoadError, ModelNotFoundError

from .events import text
from .lmstudio import LOAD_SECONDS, PROMPT, A, B, Proxy, answer, ids, make, mock, started


async def test_its_whole_life(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    began = trio.current_time()
    async with started(server) as adapter:
        assert trio.current_time() - began == pytest.approx(LOAD_SECONDS)
        assert ids(server) == [A]
        assert len(text(await answer(adapter, parameters={"max_tokens": 3})).split()) == 3
    assert ids(server) == []
    assert (server.counters.loads, server.counters.unloads) == (1, 1)


async def test_what_is_loaded_already_is_used_and_left_loaded(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    await server.load(server.models[A], {})
    began = trio.current_time()
    async with started(server) as adapter:
        assert trio.current_time() == began
        assert text(await answer(adapter))
    assert ids(server) == [A]
    assert server.counters.loads == 1


async def test_an_instance_with_other_options_is_not_ours_to_use(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    await server.load(server.models[A], {"context_length": 2048})
    async with started(server, context_length=8192, flash_attention=False) as adapter:
        assert ids(server) == [A, f"{A}:2"]
        assert server.resident[f"{A}:2"].config["context_length"] == 8192
        assert server.resident[f"{A}:2"].config["flash_attention"] is False
        async with aclosing(adapter.call(PROMPT, CallOptions())) as events:
            await anext(events)
            assert [instance.running for instance in server.loaded] == [0, 1], (
                "the chat must go to the instance that was loaded for it"
            )
    assert ids(server) == [A]


async def test_an_instance_with_the_same_options_is_used(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    await server.load(server.models[A], {"context_length": 2048})
    async with started(server, context_length=2048, eval_batch_size=512, num_experts=4):  # the last is not listed
        assert server.counters.loads == 1


async def test_only_given_options_are_sent(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    async with started(server, num_experts=2, connect_timeout=None, read_timeout=None):
        assert server.resident[A].config["num_experts"] == 2  # an unknown key would have been refused
        assert server.resident[A].config["context_length"] == ModelSpec(A).context_length


async def test_a_model_that_is_not_there(autojump_clock: trio.testing.MockClock) -> None:
    async with StreamingTransport(mock()) as transport:
        adapter = make(transport, "maker/nothing")
        with pytest.raises(ModelNotFoundError, match=r"http://localhost:1234: Model maker/nothing not found"):
            await adapter.start()
        await adapter.shutdown()


async def test_a_load_that_fails(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    server.faults.fail_next_load("(Exit code: 6)")
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        with pytest.raises(ModelLoadError, match="Exit code: 6"):
            await adapter.start()
        began = trio.current_time()
        await adapter.shutdown()
        assert trio.current_time() == began, "there is nothing to look for"


async def test_a_load_that_fails_with_status_200(autojump_clock: trio.testing.MockClock) -> None:
    proxy = Proxy(mock(), answers={"/api/v1/models/load": {"error": "engine SIGABRT"}})
    async with StreamingTransport(proxy) as transport:
        adapter = make(transport)
        with pytest.raises(ModelLoadError, match="engine SIGABRT"):
            await adapter.start()
        await adapter.shutdown()


async def test_a_load_whose_answer_makes_no_sense_may_have_happened(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server, answers={"/api/v1/models/load": "loaded"})
    async with StreamingTransport(proxy) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(server.load, server.models[A], {})
        adapter = make(transport)
        with pytest.raises(AdapterProtocolError):
            await adapter.start()
        await adapter.shutdown()
    assert ids(server) == []
    assert server.counters.loads == 1


async def test_a_load_that_outlasts_the_clients_time_out_is_not_repeated(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = mock()
    began = trio.current_time()
    async with started(server, read_timeout=3):
        assert LOAD_SECONDS <= trio.current_time() - began <= LOAD_SECONDS + 1
        assert ids(server) == [A]
    assert ids(server) == []
    assert server.counters.loads == 1


async def test_answers_that_are_lost_are_looked_up(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server, "/api/v1/models/load", "/api/v1/models/unload")
    async with started(proxy):
        assert ids(server) == [A]
    assert ids(server) == []
    assert [path for path in proxy.requests if path.endswith("load")] == [
        "/api/v1/models/load",
        "/api/v1/models/unload",
    ]


@pytest.mark.parametrize("field", ["instance_id", "model_instance_id"])
async def test_the_load_tells_which_instance_is_ours(field: str, autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server, answers={"/api/v1/models/load": {field: f"{A}:2", "status": "loaded"}})
    async with StreamingTransport(proxy) as transport, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(server.load, server.models[A], {})
        adapter = make(transport)
        await adapter.start()
        assert ids(server) == [A, f"{A}:2"]
        await adapter.shutdown()
    assert ids(server) == [A]


async def test_a_load_that_does_not_tell_is_looked_up(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server, answers={"/api/v1/models/load": {"status": "loaded"}})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.load, server.models[A], {})
        async with started(proxy):
            assert [instance.state for instance in server.resident.values()] == ["loaded"]
    assert ids(server) == []


async def test_a_load_that_never_shows_up_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server, answers={"/api/v1/models/load": {"instance_id": "x"}})
    async with StreamingTransport(proxy) as transport:
        adapter = make(transport)
        with trio.fail_after(20), pytest.raises(ModelLoadError, match="is not there"):
            await adapter.start()
        proxy.answers.clear()
        await adapter.shutdown()
    assert server.counters.loads == 0


@pytest.mark.parametrize(
    "answer", [{}, {"status": "loaded"}, {"status": "failed", "message": "no memory"}, {"status": "error"}]
)
async def test_f27_a_load_that_was_answered_is_over(
    answer: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    proxy = Proxy(mock(), answers={"/api/v1/models/load": answer})
    async with StreamingTransport(proxy) as transport:
        adapter = make(transport)
        with trio.fail_after(20), pytest.raises(ModelLoadError, match=answer.get("message")):
            await adapter.start()
        with trio.fail_after(1):
            await adapter.shutdown()


async def test_a_load_with_another_configuration_fails_and_is_unloaded(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server, answers={"/api/v1/models/load": {"instance_id": A}})
    async with StreamingTransport(proxy) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(partial(server.load, server.models[A], {"context_length": 2048}))
        adapter = make(transport, context_length=8192)
        with pytest.raises(ModelLoadError, match="another context_length"):
            await adapter.start()
        await adapter.shutdown()
    assert ids(server) == []


async def test_builds_that_list_no_instances_are_read_the_older_way(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    row: dict[str, Any] = {"id": f"{A}:2", "state": "loaded", "loaded_context_length": 2048}
    others = [{"id": A, "state": "loading"}, {"id": B, "state": "not-loaded"}]
    lists: dict[str, object] = {
        "/api/v1/models": {
            "models": [{"type": "llm", "key": A, "loaded_instances": []}, {"type": "embedding", "key": "e"}]
        },
        "/api/v0/models": {"object": "list", "data": [*others, row]},
    }
    async with started(Proxy(server, answers=lists), context_length=2048):
        pass
    assert server.counters.loads == 0
    async with StreamingTransport(Proxy(server, answers=lists)) as transport:
        adapter = make(transport, context_length=4096)
        with pytest.raises(ModelLoadError):
            await adapter.start()
    assert server.counters.loads == 1, "the listed instance has another context length"


async def test_an_instance_may_be_told_by_its_id_alone(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    rows = [None, {"key": B, "loaded_instances": None}, {"key": A, "loaded_instances": [None, 5, {"id": 5}, "mine"]}]
    async with started(Proxy(server, answers={"/api/v1/models": {"models": rows}})):
        assert server.counters.loads == 0


@pytest.mark.parametrize(
    "config", [{}, {"context_length": 2048}, {"context_length": 2048, "eval_batch_size": 512, "parallel": 4}]
)
async def test_an_embedding_or_mlx_row_tells_little(
    config: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    server = mock()
    rows = [{"key": A, "quantization": None, "loaded_instances": [{"id": "mine", "config": config}]}, {"key": B}]
    async with started(
        Proxy(server, answers={"/api/v1/models": {"models": rows}}), context_length=2048, flash_attention=True
    ):
        assert server.counters.loads == 0


@pytest.mark.parametrize(
    "body", [{"error": "Unexpected endpoint or method. (GET /api/v1/models)"}, {"data": []}, {"models": {}}, [], "x"]
)
async def test_a_server_that_is_no_lm_studio_of_today(body: object, autojump_clock: trio.testing.MockClock) -> None:
    answers = {"/api/v1/models": body, "/api/v0/models": body}
    async with StreamingTransport(Proxy(mock(), answers=answers)) as transport:
        adapter = make(transport)
        with pytest.raises(AdapterProtocolError, match="http://localhost:1234"):
            await adapter.start()
        await adapter.shutdown()


async def test_a_list_that_does_not_come_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server, silent="/api/v1/models")
    async with StreamingTransport(proxy) as transport:
        adapter = make(transport, read_timeout=None)
        began = trio.current_time()
        with pytest.raises(AdapterTimeoutError):
            await adapter.start()
        assert trio.current_time() - began == pytest.approx(15)
        await adapter.shutdown()
