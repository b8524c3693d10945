"""What a policy is told, through the manager: who asks, and how long everything takes."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from statemachine import CallOptions, Fifo, ReasoningEngine
from statemachine.policies import Waiter
from tests.contract.recording import Recorder, Script, local_manager, spawn, want

X, Y, Z = (want("local", model) for model in "xyz")


async def test_policies_are_told_who_asks_and_how_urgently(autojump_clock: MockClock) -> None:
    told: list[tuple[str | None, int]] = []

    class Curious(Fifo):
        def arrived(self, waiter: Waiter) -> None:
            told.append((waiter.agent, waiter.priority))
            super().arrived(waiter)

    async with local_manager(Recorder(), on_conflict="wait", policy=Curious) as manager:
        (await manager.get_adapter(X, agent="ann")).release()
        async with manager.acquire(X, None, "bob", 3):
            pass
        async with ReasoningEngine(manager).call([], CallOptions(X, agent="cat", priority=-1)):
            pass
        (await manager.get_adapter(X)).release()
    assert told == [("ann", 0), ("bob", 3), ("cat", -1), (None, 0)]


async def test_policies_are_told_how_long_loads_and_leases_take(autojump_clock: MockClock) -> None:
    """In milliseconds: a load from when the first was placed there, with the shutdown before it; nothing where all have gone."""
    told: list[tuple[str, int | None]] = []

    class Curious(Fifo):
        def loaded(self, signature: str, milliseconds: int | None) -> None:
            told.append(("loaded", milliseconds))

        def served(self, waiter: Waiter, milliseconds: int) -> None:
            told.append(("served", milliseconds))

    recorder = Recorder(x=Script(load=2.5, unload=0.75), y=Script(load=1.5), z=Script(load=4))
    recorder.scripts["bad"] = Script(load=3, start_error=OSError("no"))
    manager = local_manager(recorder, parallel=2, on_conflict="wait", policy=Curious)
    async with manager, trio.open_nursery() as nursery:
        await spawn(nursery, manager, X, 1.25)
        await trio.sleep(1)
        await spawn(nursery, manager, X, 2)  # joins the load
        await spawn(nursery, manager, Y, 0.0625)
        await trio.sleep(9)
        gone = await spawn(nursery, manager, Z)
        await trio.sleep(1)
        gone.scope.cancel()
        await trio.sleep(4)
        await spawn(nursery, manager, want("local", "bad"))
    assert told == [
        *[("loaded", 2500), ("served", 1250), ("served", 2000)],
        *[("loaded", 2250), ("served", 62)],  # 62.5, to the even one
        ("loaded", None),
        ("loaded", 3000),
    ]
