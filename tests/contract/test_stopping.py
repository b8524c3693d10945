"""The contract's section on stopping, and what observers are told."""

from __future__ import annotations

import itertools
import logging
import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    AdapterInstantiationError,
    ConfigurationError,
    Fifo,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    Transition,
)
from statemachine.core.lifecycle import MACHINES
from tests.contract.recording import Recorder, Script, api_manager, local_manager, spawn, want

A, B, C = (want("api", model) for model in "abc")
X, Y = want("local", "x"), want("local", "y")


@pytest.mark.parametrize(
    ("script", "down"),
    [(Script(unload=math.inf), 30), (Script(unload=2, shutdown_error=OSError("no")), 2)],
    ids=["overdue", "failed"],
)
async def test_an_instance_that_cannot_be_shut_down_is_given_up_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, script: Script, down: float
) -> None:
    recorder = Recorder(x=script)
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        following = await spawn(nursery, manager, Y)
        await trio.sleep(100)
        counters = manager.statistics().counters
        assert (counters.stops, counters.shutdown_failures) == (1, 1)
    assert following.granted == down
    reports = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(reports) == 1  # reported, and once
    assert "local/x#" in reports[0].getMessage()


async def test_a_shutdown_in_time_is_no_failure(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=29))
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        following = await spawn(nursery, manager, Y)
    assert following.granted == 29
    assert manager.statistics().counters.shutdown_failures == 0


async def test_without_a_shutdown_timeout_there_is_no_bound(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(unload=10**6))
    async with local_manager(recorder, shutdown_timeout=None) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X)
        following = await spawn(nursery, manager, Y)
    assert following.granted == 10**6


async def test_the_scope_of_an_overdue_shutdown_is_cancelled(autojump_clock: MockClock) -> None:
    ended: list[float] = []

    recorder = Recorder(x=Script(unload=math.inf))
    async with local_manager(recorder, shutdown_timeout=5) as manager, trio.open_nursery() as nursery:
        lease = await manager.get_adapter(X)
        adapter = recorder.made[0]
        shutdown = adapter.shutdown

        async def observed() -> None:
            try:
                await shutdown()
            finally:
                ended.append(trio.current_time())

        adapter.shutdown = observed  # type: ignore[method-assign]  # to see how it ends
        lease.release()
        await spawn(nursery, manager, Y)
    assert ended == [5]


async def test_a_shutdown_that_ends_late_changes_nothing(autojump_clock: MockClock) -> None:
    recorder = Recorder(y=Script(unload=1))
    stops: list[str] = []

    async with local_manager(recorder, shutdown_timeout=5) as manager, trio.open_nursery() as nursery:
        lease = await manager.get_adapter(X)

        async def stubborn() -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(20)
            stops.append("late")

        recorder.made[0].shutdown = stubborn  # type: ignore[method-assign]  # it resists its cancellation
        lease.release()
        following = await spawn(nursery, manager, Y, 30)
        await trio.sleep(25)
        assert stops == ["late"]
        assert manager.statistics().slots["local"].state == "busy"
        counters = manager.statistics().counters
        assert (counters.stops, counters.shutdown_failures) == (1, 1)
    assert following.granted == 5


async def test_a_stop_in_the_very_moment_of_its_deadline_is_overdue(autojump_clock: MockClock) -> None:
    """Deadlines expire first: a tie has one outcome."""
    for _ in range(10):
        recorder = Recorder(x=Script(unload=5))
        async with local_manager(recorder, shutdown_timeout=5) as manager:
            for config in (X, Y):
                async with manager.acquire(config):
                    pass
            assert manager.statistics().counters.shutdown_failures == 1


async def test_the_next_in_line_gets_the_place_not_a_newcomer(autojump_clock: MockClock) -> None:
    recorder = Recorder(a=Script(unload=10))
    async with api_manager(recorder) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, A, 1)
        head = await spawn(nursery, manager, B, 1)
        await trio.sleep(5)
        newcomer = await spawn(nursery, manager, A, 1)
    assert (head.granted, newcomer.granted) == (11, 12)


# ---- observers ----


def following(transitions: list[Transition]) -> bool:
    """Whether each subject's changes join on to each other, from the initial state of its machine."""
    initial = {machine.kind: machine.initial for machine in MACHINES}
    changes: dict[tuple[str, object], list[Transition]] = {}
    for transition in transitions:
        changes.setdefault((transition.machine, transition.subject), []).append(transition)
    return all(
        row[0].source == initial[row[0].machine] and all(a.dest == b.source for a, b in itertools.pairwise(row))
        for row in changes.values()
    )


async def test_observers_see_every_change_in_order(autojump_clock: MockClock) -> None:
    seen: list[Transition] = []
    recorder = Recorder(x=Script(load=1, unload=2), y=Script(load=1, start_error=OSError("no")))
    config = ProviderManagerConfig([ProviderConfig("local", recorder, is_local=True)], on_conflict="wait", policy=Fifo)
    async with ProviderManager(config, observers=[seen.append]) as manager, trio.open_nursery() as nursery:
        for wanted in (X, Y, X):
            await spawn(nursery, manager, wanted, 1)
    assert following(seen)
    first = [(t.time, t.trigger) for t in seen if t.machine == "instance" and t.subject == 1]
    assert first == [(0, "start"), (1, "activate"), (2, "release"), (2, "stop"), (4, "evict")]
    requests = {t.subject: t.dest for t in seen if t.machine == "request"}
    assert list(requests.values()) == ["released", "failed", "released"]
    told = [(t.subject, t.dest, t.demand) for t in seen if t.machine == "pool"]
    assert told == [(("slot", "local"), dest, None) for dest in ("saturated", "open", "closing", "closed")]
    assert {t.demand.model for t in seen if t.machine == "instance" and t.subject == 2 and t.demand} == {"y"}
    assert all(t.demand is not None for t in seen if t.machine != "pool")


async def test_observers_see_how_every_request_ends(autojump_clock: MockClock) -> None:
    seen: list[Transition] = []
    config = ProviderManagerConfig([ProviderConfig("api", Recorder(a=Script(load=5)), limit=1)])
    async with trio.open_nursery() as nursery:
        async with ProviderManager(config, observers=[seen.append]) as manager:
            await spawn(nursery, manager, A, 100, timeout=2)  # loading
            await spawn(nursery, manager, B, timeout=3)  # in the queue
            gone = await spawn(nursery, manager, B)
            gone.scope.cancel()
            await trio.sleep(4)
            gone = await spawn(nursery, manager, A)  # joins the load that no request waits for any more
            gone.scope.cancel()
            await spawn(nursery, manager, A, 100)
            await trio.sleep(4)
            await spawn(nursery, manager, B)
    assert following(seen)
    ends = {t.subject: (t.time, t.dest) for t in seen if t.machine == "request"}
    assert list(ends.values()) == [
        *[(2, "timed_out"), (3, "timed_out"), (0, "cancelled"), (4, "cancelled")],
        *[(38, "revoked"), (8, "rejected")],
    ]


@pytest.mark.parametrize(
    ("script", "triggers"),
    [
        (Script(construct_error=OSError("no")), ["start", "abort"]),
        (Script(start_error=OSError("no")), ["start", "fail", "evict"]),
    ],
)
async def test_observers_see_that_a_start_failed(
    autojump_clock: MockClock, script: Script, triggers: list[str]
) -> None:
    """Once: its deadline is forgotten."""
    seen: list[Transition] = []
    config = ProviderManagerConfig([ProviderConfig("local", Recorder(x=script), is_local=True)], start_timeout=5)
    async with ProviderManager(config, observers=[seen.append]) as manager:
        with pytest.raises(AdapterInstantiationError):
            await manager.get_adapter(X)
        await trio.sleep(10)
    assert [t.trigger for t in seen if t.machine == "instance"] == triggers
    assert [t.trigger for t in seen if t.machine == "request"] == ["assign", "fail"]
    assert manager.statistics().counters.start_failures == 1


async def test_observers_see_when_there_is_room_again(autojump_clock: MockClock) -> None:
    """Here because a load has ended for which no request waits any more."""
    seen: list[Transition] = []
    config = ProviderManagerConfig([ProviderConfig("local", Recorder(x=Script(load=5)), is_local=True)])
    async with ProviderManager(config, observers=[seen.append]) as manager, trio.open_nursery() as nursery:
        (await spawn(nursery, manager, X)).scope.cancel()
        await trio.sleep(7)
    pool = [(t.time, t.trigger) for t in seen if t.machine == "pool"]
    assert pool == [(0, "saturate"), (5, "relax"), (7, "close"), (7, "finish")]


async def test_an_observer_that_raises_changes_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Transition] = []

    def bad(transition: Transition) -> None:
        raise RuntimeError("observer")

    config = ProviderManagerConfig([ProviderConfig("local", Recorder(), is_local=True)])
    async with ProviderManager(config, observers=[bad, seen.append]) as manager:
        async with manager.acquire(X):
            pass
    assert following(seen)
    assert {record.levelname for record in caplog.records} == {"ERROR"}


async def test_an_observer_may_release_and_cancel(autojump_clock: MockClock) -> None:
    """What it causes is handled after the step that it sees."""
    scope = trio.CancelScope()

    def cancel(transition: Transition) -> None:
        if transition.machine == "request" and transition.trigger == "grant" and transition.subject == 2:
            scope.cancel()

    config = ProviderManagerConfig([ProviderConfig("local", Recorder(), is_local=True)], on_conflict="wait")
    async with ProviderManager(config, observers=[cancel]) as manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 1)
        with scope:
            async with manager.acquire(X):
                await trio.sleep_forever()
        await wait_all_tasks_blocked()
        assert manager.statistics().slots["local"].leases == 0
        async with manager.acquire(X, timeout=1):
            pass


async def test_observers_see_changes_in_order_whatever_one_of_them_causes(autojump_clock: MockClock) -> None:
    """The second request is granted in the step in which the first is released, and cancelled before anybody is told of that."""
    seen: list[Transition] = []
    scope = trio.CancelScope()

    def cancel(transition: Transition) -> None:
        if (transition.machine, transition.trigger, transition.subject) == ("request", "release", 1):
            manager.statistics()  # to read in the middle of a step does not end it
            scope.cancel()

    config = ProviderManagerConfig([ProviderConfig("local", Recorder(), is_local=True)], on_conflict="wait")
    manager = ProviderManager(config, observers=[cancel, seen.append])
    async with manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 1)
        with scope:
            await manager.get_adapter(X)
        assert scope.cancelled_caught
        assert manager.statistics().slots["local"].leases == 0
    assert following(seen)
    assert [t.trigger for t in seen if (t.machine, t.subject) == ("request", 2)] == ["wait", "grant", "release"]


async def test_an_observer_may_take_statistics_in_the_middle_of_a_step() -> None:
    shown: list[tuple[str, str]] = []

    def look(transition: Transition) -> None:
        if transition.machine == "instance":
            shown.append((transition.trigger, manager.statistics().slots["local"].state))

    config = ProviderManagerConfig([ProviderConfig("local", Recorder(), is_local=True)])
    manager = ProviderManager(config, observers=[look])
    async with manager:
        (await manager.get_adapter(X)).release()
    assert shown == [
        ("start", "loading"),
        ("activate", "busy"),
        ("release", "resident"),
        ("stop", "unloading"),
        ("evict", "vacant"),
    ]


def test_observers_are_checked() -> None:
    config = ProviderManagerConfig([ProviderConfig("local", Recorder(), is_local=True)])
    with pytest.raises(ConfigurationError) as caught:
        ProviderManager(config, observers=[lambda change: None, None])  # type: ignore[list-item]  # this is the point
    assert str(caught.value) == "observers[1]: must be callable with one Transition; got a NoneType"
