"""The singleton of an LM Studio server: its life, what it does, and its use from asyncio."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
import trio
import trio.testing

from adapters.providers import LMStudioSingleton, get_lmstudio_singleton
from simulation.mock.transport import StreamingTransport
from statemachine import ConfigurationError, WrongEventLoopError
from tests.bridge.world import check_threads_have_ended

from .lmstudio import LOAD_SECONDS, SHORT, URL, A, B, ids, mock, on_a_socket, opened

Clock = trio.testing.MockClock


async def test_the_last_to_leave_closes_it(autojump_clock: Clock) -> None:
    server = mock()
    async with StreamingTransport(server) as transport:
        first = get_lmstudio_singleton(URL, transport=transport)
        second = get_lmstudio_singleton(URL + "/v1", transport=transport)
        shared = await first.__aenter__()
        assert await second.__aenter__() is shared
        await shared.ensure_model_active(A)
        await first.__aexit__(None, None, None)
        assert ids(server) == [A]
        await second.__aexit__(None, None, None)
        assert ids(server) == []
        async with get_lmstudio_singleton(URL, transport=transport) as later:
            assert later is not shared


async def test_who_comes_while_it_closes_gets_a_new_one(autojump_clock: Clock) -> None:
    server = mock()

    async def use(model_id: str, after: float) -> LMStudioSingleton:
        await trio.sleep(after)
        async with get_lmstudio_singleton(URL, transport=transport) as singleton:
            await singleton.ensure_model_active(model_id)
            return singleton

    async with StreamingTransport(server) as transport, trio.open_nursery() as nursery:
        nursery.start_soon(use, A, 0)
        nursery.start_soon(use, B, LOAD_SECONDS + 0.5)  # the first is being unloaded
    assert server.counters.peak_resident == 1
    assert ids(server) == []


async def test_a_cancelled_user_leaves_it_closed(autojump_clock: Clock) -> None:
    server = mock()
    with trio.move_on_after(LOAD_SECONDS / 2) as scope:
        async with opened(server) as singleton:
            await singleton.ensure_model_active(A)
    assert scope.cancelled_caught
    assert ids(server) == []
    assert LMStudioSingleton.all_metrics() == {}


async def test_other_settings_are_refused(autojump_clock: Clock) -> None:
    async with opened(mock()), StreamingTransport(mock()) as other:
        with pytest.raises(ConfigurationError, match="open already"):
            async with get_lmstudio_singleton(URL, transport=other):
                pass
    with pytest.raises(ConfigurationError, match="base_url"):
        get_lmstudio_singleton("not a URL")


async def test_unloading(autojump_clock: Clock) -> None:
    server = mock()
    async with opened(server) as singleton:
        assert await singleton.unload() is False
        await singleton.preload(A)
        assert await singleton.unload(B) is False
        assert await singleton.unload(A) is True
        assert ids(server) == []
        await singleton.switch(B)
        metrics = singleton.metrics()
        assert metrics.switch.attempts == 0, "no model was replaced"
        assert (metrics.load.successes, metrics.unload.successes, metrics.instances) == (2, 1, 1)
        assert metrics.load.mean_seconds == pytest.approx(LOAD_SECONDS, abs=1)


async def test_calls_are_counted_by_model(autojump_clock: Clock) -> None:
    async with opened(mock()) as singleton:
        for model_id in (A, B, A):
            model = await singleton.get_model(model_id)
            await model.invoke("hello", **SHORT)
        assert dict(singleton.metrics().calls) == {A: 2, B: 1}
        assert LMStudioSingleton.all_metrics()[singleton.base_url] == singleton.metrics()


def test_from_asyncio() -> None:
    async def main(url: str) -> None:
        async with get_lmstudio_singleton(url) as singleton, get_lmstudio_singleton(url + "/v1") as again:
            assert singleton is again
            models = await asyncio.gather(*(singleton.get_model(model_id) for model_id in (A, B)))
            answers = await asyncio.gather(*(model.invoke("hello", **SHORT) for model in models))
            assert all(answer.text for answer in answers)
            async with aclosing(models[0].stream("hello", **SHORT)) as events:
                assert [event.type async for event in events][-1] == "end"
            assert len(await models[1].batch(["one", "two"], **SHORT)) == 2
            assert singleton.current_model == B
            assert singleton.metrics().load.failures == 0
            assert LMStudioSingleton.all_metrics() == {singleton.base_url: singleton.metrics()}
            assert await singleton.unload()
        assert LMStudioSingleton.all_metrics() == {}

    with on_a_socket() as url:
        asyncio.run(main(url))
    check_threads_have_ended()


async def test_a_trio_run_keeps_its_own(autojump_clock: Clock) -> None:
    def elsewhere(singleton: LMStudioSingleton) -> None:
        with pytest.raises(WrongEventLoopError):
            asyncio.run(singleton.ensure_model_active(A))

    async with opened(mock()) as singleton:
        await trio.to_thread.run_sync(elsewhere, singleton)
