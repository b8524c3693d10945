"""``ProviderManager.outstanding()``: what is under way, as a value for checkers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    CallOptions,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    StreamEvent,
)
from statemachine.manager.outstanding import InstanceTask
from tests.contract.recording import want

X = want("local", "x")


class Streams:
    """An adapter whose stream ends in its own time."""

    def __init__(self, config: object) -> None:
        pass

    async def call(self, prompt: object, options: object) -> AsyncIterator[StreamEvent]:
        try:
            yield StreamEvent("token", "a")
            yield StreamEvent("end", "stop")
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)


async def use(manager: ProviderManager) -> None:
    async with manager.acquire(X):
        pass


async def test_requests_streams_and_tasks_are_listed_while_they_are_under_way(autojump_clock: MockClock) -> None:
    config = ProviderManagerConfig([ProviderConfig("local", Streams, is_local=True)], on_conflict="wait")
    async with ProviderManager(config) as manager, trio.open_nursery() as nursery:
        assert manager.outstanding() == (frozenset(), frozenset(), {})
        async with ReasoningEngine(manager).call([], CallOptions(provider_config=X)) as stream:
            await anext(stream)
            nursery.start_soon(use, manager)
            await wait_all_tasks_blocked()
            (instance,) = manager.outstanding().instances.values()
            assert isinstance(instance.adapter, Streams)
            assert instance == InstanceTask(instance.adapter, False, False, False)
            assert len(manager.outstanding().requests) == len(manager.outstanding().streams) == 1
        assert not manager.outstanding().streams
        await wait_all_tasks_blocked()
        assert not manager.outstanding().requests, "it was answered"
    assert manager.outstanding() == (frozenset(), frozenset(), {})
