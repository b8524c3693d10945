"""Generated programs of agents against the real manager, in virtual time, with adapters that are slow, fail and hang.

What is held against them afterwards is what the adapters saw: it does not depend on what the manager believes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine import (
    AdapterConfig,
    AdapterInstantiationError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
)
from statemachine.adapter import Adapter

from .checked import checked, complaints
from .programs import AGENTS, CONFIGS, Agent, play
from .recorded import Book, Recorded
from .sweep import run

SHUTDOWN_TIMEOUT = 5
GRACE = 3
End = Literal["leave", "raise", "cancel"]


class EndedError(Exception):
    """The body's own exception."""


@pytest.mark.filterwarnings("ignore:a lease of .* was dropped unreleased:ResourceWarning")
@settings(max_examples=8 * settings().max_examples)
@given(
    options=CONFIGS,
    parallel=st.integers(1, 3),
    agents=AGENTS,
    lasts=st.sampled_from([None, None, 2, 5, 9]),
    end=st.sampled_from(["leave", "leave", "raise", "cancel"]),
    seed=st.integers(0, 1000),
)
def test_whatever_agents_do_no_instance_and_no_lease_is_lost(
    options: dict[str, Any], parallel: int, agents: list[Agent], lasts: float | None, end: End, seed: int
) -> None:
    book = Book()
    providers = [
        ProviderConfig("api", book.adapter),
        ProviderConfig("local", book.adapter, is_local=True, parallel=parallel),
        ProviderConfig("other", book.adapter, is_local=True),
    ]
    config = ProviderManagerConfig(providers, shutdown_timeout=SHUTDOWN_TIMEOUT, close_grace=GRACE, **options)
    manager = checked(ProviderManager(config))
    left_and_closed: list[float] = []

    async def body(crew_is_done: trio.Event) -> None:
        """Until ``lasts`` seconds are over, or until the agents are done (None)."""
        async with manager:
            if lasts is None:
                await crew_is_done.wait()
                await _assert_it_rests_and_still_grants(manager)
            else:
                await trio.sleep(lasts)
            left_and_closed.append(trio.current_time())
            if end == "raise":
                raise EndedError
            if end == "cancel":
                scope.cancel()
                await trio.lowlevel.checkpoint()

    async def crew(done: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            for agent in agents:
                nursery.start_soon(play, agent, manager)
        done.set()

    scope = trio.CancelScope()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            done = trio.Event()
            with scope, suppress(EndedError):  # bare, not in a group
                nursery.start_soon(crew, done)
                await body(done)
            left_and_closed.append(trio.current_time())

    run(main, seed)
    left, closed = left_and_closed
    grace = GRACE if end == "leave" else 0
    assert closed <= left + grace + SHUTDOWN_TIMEOUT
    assert complaints(manager) == []
    _assert_nothing_is_left(manager)
    assert book.not_shut_down_once() == []
    _assert_calls_were_left_alone(book, revoked_from=left + grace)
    pools: dict[str, list[Recorded]] = {}
    for adapter in book.adapters:
        pools.setdefault(_pool(adapter.config.provider_name, config.local_scope), []).append(adapter)
    for name, adapters in pools.items():
        _assert_never_more_than(config.max_parallel_api_instances_per_provider if name == "api" else 1, adapters)


async def _assert_it_rests_and_still_grants(manager: ProviderManager) -> None:
    """The agents have gone: nothing is left of them but idle instances, and starts that outlive their requesters for a while."""
    await trio.lowlevel.checkpoint()  # a lease that was dropped a moment ago is gone only now
    for p in manager.statistics().providers.values():
        assert (p.waiting, p.assigned, p.active, p.draining) == (0, 0, 0, 0)
    await trio.sleep(30)
    for p in manager.statistics().providers.values():
        assert p.live == p.idle
    if manager.config.api_instance_idle_timeout_seconds is not None:
        assert manager.statistics().providers["api"].live == 0
    for provider in manager.available_providers:
        lease = await manager.get_adapter(RuntimeProviderConfig(provider, "fresh"), timeout=SHUTDOWN_TIMEOUT + 1)
        lease.release()


def _pool(provider: str, scope: str) -> str:
    return "slot" if provider != "api" and scope == "all" else provider


def _assert_nothing_is_left(manager: ProviderManager) -> None:
    statistics = manager.statistics()
    for p in statistics.providers.values():
        assert (p.live, p.waiting, p.assigned) == (0, 0, 0)
    assert all(s.state == "vacant" and not (s.leases or s.waiting) for s in statistics.slots.values())
    assert statistics.counters.stops <= statistics.counters.starts


def _assert_calls_were_left_alone(book: Book, revoked_from: float) -> None:
    """No call overlaps a shutdown, unless its lease was revoked when the grace was over."""
    for adapter in book.adapters:
        assert all(moment.time >= revoked_from for moment in adapter.overlaps)


def _assert_never_more_than(limit: int, adapters: Sequence[Recorded]) -> None:
    """At the birth of each, fewer than ``limit`` others are up. One that was given up on no longer counts from that very time on."""
    for new in adapters:
        up = [a for a in adapters if a.born.number < new.born.number and not _was_down(a, new)]
        assert len(up) < limit


def _was_down(old: Recorded, new: Recorded) -> bool:
    assert old.down is not None
    return old.down.number < new.born.number or (old.given_up and old.down.time <= new.born.time)


def test_a_construction_that_fails_only_after_its_start_was_given_up_on() -> None:
    """A factory is called synchronously, so it may take longer than ``start_timeout``. The manager must survive that."""

    def factory(config: AdapterConfig) -> Adapter:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(2)
        raise OSError("no such server")

    async def main() -> None:
        config = ProviderManagerConfig([ProviderConfig("api", factory)], start_timeout=1, shutdown_timeout=5)
        manager = checked(ProviderManager(config))
        async with manager:
            with pytest.raises(AdapterInstantiationError):
                await manager.get_adapter(RuntimeProviderConfig("api", "m"))
            await trio.sleep(10)
            assert manager.statistics().providers["api"].live == 0
        assert complaints(manager) == []

    run(main)
