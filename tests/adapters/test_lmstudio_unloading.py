"""LMStudioAdapter's shutdown: what was loaded is unloaded, however its load ended, and nothing else is."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.transport import StreamingTransport
from statemachine import AdapterError, AdapterTimeoutError, AuthenticationError

from .lmstudio import LOAD_SECONDS, TOKEN, A, B, Proxy, ids, make, mock, started


async def test_an_interrupted_load_is_unloaded_when_it_is_done(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    await server.load(server.models[A], {"context_length": 2048})
    await server.load(server.models[B], {})
    began = trio.current_time()
    async with StreamingTransport(server) as transport:
        adapter = make(transport, context_length=8192)
        with trio.move_on_after(2):
            await adapter.start()
        assert ids(server) == [A, B, f"{A}:2"]
        await adapter.shutdown()
        assert LOAD_SECONDS + 1 <= trio.current_time() - began <= LOAD_SECONDS + 2.5
    assert ids(server) == [A, B]


async def test_an_interrupted_load_may_get_an_id_that_was_in_use_before(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    await server.load(server.models[A], {"context_length": 2048})
    async with StreamingTransport(server) as transport, trio.open_nursery() as nursery:
        adapter = make(transport, context_length=8192)
        nursery.start_soon(server.unload, server.resident[A])
        await trio.sleep(0.9)
        server.faults.answer_next("/api/v1/models/load", 504, {"error": "gateway timeout"})
        with trio.move_on_after(2):
            nursery.start_soon(_load_later, server)
            await adapter.start()
        await adapter.shutdown()
    assert ids(server) == []


async def _load_later(server: MockLMStudio) -> None:
    await trio.sleep(0.5)
    await server.load(server.models[A], {"context_length": 8192})


async def test_an_interrupted_load_that_brings_nothing_is_reported_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = mock()
    server.faults.fail_next_load()
    async with StreamingTransport(server) as transport:
        adapter = make(transport, unload_timeout=15)
        with trio.move_on_after(2):
            await adapter.start()
        began = trio.current_time()
        with pytest.raises(AdapterTimeoutError, match="15 s"):
            await adapter.shutdown()
        assert trio.current_time() - began == pytest.approx(15)


async def test_nothing_is_unloaded_that_may_be_somebody_elses(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport, trio.open_nursery() as nursery:
        adapter = make(transport)
        with trio.move_on_after(2):
            nursery.start_soon(partial(server.load, server.models[A], {}))
            await adapter.start()
        await trio.sleep(LOAD_SECONDS)
        with pytest.raises(AdapterError, match="unknown which is ours"):
            await adapter.shutdown()
    assert ids(server) == [A, f"{A}:2"]


async def test_a_start_that_never_reached_the_load_has_nothing_to_unload(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server = mock(api_token=TOKEN)
    async with StreamingTransport(server) as transport:
        adapter = make(transport)
        with pytest.raises(AuthenticationError):
            await adapter.start()
        await adapter.shutdown()
        await make(transport).shutdown()  # never started at all


async def test_what_the_user_has_unloaded_is_unloaded(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    async with started(server):
        await server.unload(server.resident[A])
    assert server.counters.unloads == 1


async def test_a_shutdown_waits_for_an_unload_that_is_under_way(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    async with trio.open_nursery() as nursery:
        async with started(server):
            nursery.start_soon(server.unload, server.resident[A])
            await trio.testing.wait_all_tasks_blocked()
            assert ids(server) == [A]  # the server answers 404 now, while the model still is in memory
        assert ids(server) == []


async def test_a_server_that_does_not_unload_is_reported_in_time(autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server, answers={"/api/v1/models/unload": {"instance_id": A}})
    async with StreamingTransport(proxy) as transport:
        adapter = make(transport, unload_timeout=5)
        await adapter.start()
        with pytest.raises(AdapterTimeoutError, match="5 s"):
            await adapter.shutdown()


class Closeable(StreamingTransport):
    """Unlike the real one, it notices when a client closes it, as httpx's clients do."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_a_shared_transport_stays_open(autojump_clock: trio.testing.MockClock) -> None:
    async with Closeable(mock()) as transport:
        adapter = make(transport)
        await adapter.start()
        await adapter.shutdown()
        assert not transport.closed
