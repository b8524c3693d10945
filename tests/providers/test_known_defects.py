"""What went wrong in the original LM Studio singleton, by the numbers of its list, against the mock LM Studio."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial

import pytest
import trio
import trio.testing

from adapters.providers import Model, get_lmstudio_singleton
from simulation.mock.transport import StreamingTransport
from statemachine import AdapterInstantiationError, ModelLoadError, ProviderManagerError

from .lmstudio import LOAD_SECONDS, SHORT, URL, A, B, C, ids, mock, opened

Clock = trio.testing.MockClock


async def test_s1_no_switch_under_a_model_that_is_generating(autojump_clock: Clock) -> None:
    server = mock()
    async with opened(server) as singleton, trio.open_nursery() as nursery:
        first = await singleton.get_model(A)
        kinds: list[str] = []

        async def generate() -> None:
            async with aclosing(first.stream("hello", max_tokens=3000)) as events:
                async for event in events:
                    kinds.append(event.type)

        nursery.start_soon(generate)
        await trio.sleep(1)
        with trio.move_on_after(50) as waited:
            await singleton.switch(B)
        assert waited.cancelled_caught
        assert ids(server) == [A]
        await singleton.switch(B)
        assert ids(server) == [B]
        assert kinds[-1] == "end"
        assert server.counters.cut == 0


async def test_s2_a_cold_start_of_two_models_loads_one_at_a_time(autojump_clock: Clock) -> None:
    server = mock()
    async with opened(server) as singleton, trio.open_nursery() as nursery:
        nursery.start_soon(singleton.ensure_model_active, A)
        nursery.start_soon(singleton.ensure_model_active, B)
    assert (server.counters.loads, server.counters.peak_resident) == (2, 1)


async def test_s3_the_old_model_is_out_before_the_new_one_is_loaded(autojump_clock: Clock) -> None:
    server = mock()
    async with opened(server) as singleton:
        await singleton.ensure_model_active(A)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(singleton.switch, B)
            await trio.sleep(0.5)
            assert ids(server) == [A]
            await trio.sleep(2)
            assert A not in ids(server)
        assert trio.current_time() - began == pytest.approx(LOAD_SECONDS + 1, abs=1)
        assert singleton.current_model == B


async def test_s4_an_error_reaches_the_request_that_caused_it(autojump_clock: Clock) -> None:
    server, errors = mock(), dict[str, Exception]()
    server.faults.fail_next_load("no memory")

    async def ask(model_id: str) -> None:
        try:
            await singleton.ensure_model_active(model_id)
        except AdapterInstantiationError as error:
            errors[model_id] = error

    async with opened(server) as singleton, trio.open_nursery() as nursery:
        for model_id in (A, B, C):
            nursery.start_soon(ask, model_id)
    ((model_id, error),) = errors.items()
    assert isinstance(error.__cause__, ModelLoadError)
    assert model_id in str(error)
    assert server.counters.peak_resident == 1
    assert ids(server) == []


async def test_s5_the_servers_own_state_wins(autojump_clock: Clock) -> None:
    server = mock()
    async with opened(server) as singleton:
        model = await singleton.get_model(A)
        for _ in range(2):
            await server.unload(server.loaded[0])  # by hand, in the application
            assert ids(server) == []
            await singleton.ensure_model_active(A)
            assert ids(server) == [A]
        await server.unload(server.loaded[0])
        assert (await model.invoke("hello", **SHORT)).text
        assert await singleton.get_model(A) is model


@pytest.mark.parametrize("version", ["0.3.30", "0.4"])
async def test_s6_every_documented_list_is_read(autojump_clock: Clock, version: str) -> None:
    """Older versions list what is loaded in another shape, and load only just in time."""
    server = mock(version=version)
    async with opened(server) as singleton:
        model = await singleton.get_model(A)
        assert singleton.current_model == A
        assert (await model.invoke("hello", **SHORT)).text


async def test_s7_a_failed_unload_is_no_success(autojump_clock: Clock) -> None:
    server = mock()
    async with opened(server, unload_timeout=5) as singleton:
        await singleton.ensure_model_active(A)
        await singleton.switch(B)
        before = singleton.metrics()
        assert (before.switch.successes, before.switch.failures) == (1, 0)
        assert before.switch.last_seconds == pytest.approx(LOAD_SECONDS + 1, abs=1)
        server.faults.answer_next(
            "/api/v1/models/unload", 403, {"error": {"message": "no", "type": "permission_error"}}
        )
        await singleton.switch(A)
        after = singleton.metrics()
        assert (after.unload.successes, after.unload.failures) == (1, 1)
        assert (after.switch.successes, after.switch.failures) == (1, 1)
        for counted in (after.load, after.unload, after.switch):
            assert counted.attempts == counted.successes + counted.failures


async def test_s8_options_are_identity_and_zero_is_a_value(autojump_clock: Clock) -> None:
    server = mock()
    async with opened(server) as singleton:
        cold = await singleton.get_model(A, context_length=2048)
        assert await singleton.get_model(A, context_length=2048) is cold
        assert await singleton.get_model(A, context_length=4096) is not cold
        assert server.loaded[0].config["context_length"] == 4096
        loads = server.counters.loads
        model = await singleton.get_model(A, context_length=4096)
        await model.invoke("hello", temperature=0, **SHORT)
        await model.invoke("hello", temperature=0.7, **SHORT)
        assert server.counters.loads == loads, "a temperature goes with the call"
        assert Model(model.home, model._engine, model.config, {"temperature": 0.0}).parameters == {"temperature": 0.0}


async def test_s9_one_server_in_any_spelling_has_one_singleton(autojump_clock: Clock) -> None:
    async with StreamingTransport(mock()) as transport:
        async with get_lmstudio_singleton(URL, transport=transport) as first:
            for other in "http://LOCALHOST:1234/v1", "http://localhost:1234/v1/", "http://127.0.0.1:1234":
                async with get_lmstudio_singleton(other, transport=transport) as again:
                    assert again is first
            async with get_lmstudio_singleton("http://localhost:1235", transport=transport) as second:
                assert second is not first
                assert set(first.all_metrics()) == {first.base_url, second.base_url}
        assert first.all_metrics() == {}


async def test_s10_what_is_forgotten_is_unloaded(autojump_clock: Clock) -> None:
    server = mock()
    async with opened(server) as singleton:
        model = await singleton.get_model(A)
        await singleton.clear()
        assert ids(server) == []
        assert singleton.current_model is None
        assert singleton.metrics().handles == 0
        assert await singleton.get_model(A) is not model
    assert ids(server) == []


async def test_s11_every_way_to_call_goes_through_a_lease(autojump_clock: Clock) -> None:
    """While another model is being used, none of them gets through."""
    server = mock()
    async with opened(server) as singleton:
        other = await singleton.get_model(B)
        async with singleton.manager.acquire(singleton.model(other.config).config):
            pass
        model = singleton.model((await singleton.get_model(A)).config)
        holder = await singleton.get_model(B)

        async def stream_once() -> None:
            async with aclosing(model.stream("hello", **SHORT)) as events:
                async for _ in events:
                    pass

        async def batch_once() -> None:
            assert len(await model.batch(["hello", "again"], **SHORT)) == 2

        async def invoke_once() -> None:
            await model.invoke("hello", **SHORT)

        grants = singleton.manager.statistics().counters.grants
        ended: list[str] = []

        async def noted(way: str) -> None:
            await {"invoke": invoke_once, "stream": stream_once, "batch": batch_once}[way]()
            ended.append(way)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(holder.invoke, "hello", max_tokens=3000))
            await trio.sleep(1)
            for way in ("invoke", "stream", "batch"):
                nursery.start_soon(noted, way)
            await trio.sleep(50)
            assert ended == []
        assert sorted(ended) == ["batch", "invoke", "stream"]
        assert singleton.manager.statistics().counters.grants == grants + 5
        assert server.counters.cut == 0


async def test_a_model_that_is_not_there_is_told(autojump_clock: Clock) -> None:
    async with opened(mock()) as singleton:
        with pytest.raises(ProviderManagerError, match="no/such-model"):
            await singleton.ensure_model_active("no/such-model")
        assert singleton.metrics().load.failures == 1
