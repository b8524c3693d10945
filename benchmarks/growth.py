"""Growth: a hand-off with 10 to 100,000 waiters, an acquire with 10 to 10,000 instances, and what each of them takes of memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing

from adapters import FakeAdapter
from statemachine import Lease, ProviderConfig, ProviderManager, ProviderManagerConfig, RuntimeProviderConfig

from .core import limiter_hand_offs, manager_hand_offs
from .measuring.compare import clock
from .measuring.results import load, spread, write
from .measuring.rounds import Side, alternate, once

__all__ = ["measure"]

WAITERS: Final = (10, 100, 1_000, 10_000, 100_000)
INSTANCES: Final = (10, 100, 1_000, 10_000)
OPERATIONS: Final = 3000
COUNTED: Final = 5000  # whose memory is measured
MEASURED: Final = ("waiter", "waiter of trio.CapacityLimiter", "lease", "instance")


def measure(folder: Path, rounds: int) -> Path:
    """Measure and write ``growth.json``."""
    before = load()
    figures: dict[str, Any] = {"waiters": [], "instances": [], "bytes": {}}
    for waiters in WAITERS:
        ways = {name: Side("benchmarks.growth:hand_offs", (name, waiters)) for name in ("manager", "limiter")}
        figures["waiters"].append({"waiters": waiters, **_spreads(ways, rounds)})
        print(f"{waiters:,} waiters: {figures['waiters'][-1]}", flush=True)
    for count in INSTANCES:
        ways = {"manager": Side("benchmarks.growth:instances", (count,))}
        figures["instances"].append({"instances": count, **_spreads(ways, rounds)})
        print(f"{count:,} instances: {figures['instances'][-1]}", flush=True)
    for what in MEASURED:
        figures["bytes"][what] = once(Side("benchmarks.growth:memory", (what,)))
        print(f"a {what}: {figures['bytes'][what]} bytes", flush=True)
    return write(folder, "growth", figures, load_before=before)


def _spreads(ways: dict[str, Side], rounds: int) -> dict[str, Any]:
    timings, _ = alternate(ways, rounds)
    return {name: spread([seconds * 1e6 for seconds in values]) for name, values in timings.items()}


def hand_offs(name: str, waiters: int) -> Callable[[], float]:
    """A round of hand-offs with ``waiters`` waiters of seven models, in seconds for each."""
    run = {"manager": manager_hand_offs, "limiter": limiter_hand_offs}[name]
    return lambda: trio.run(run, waiters, OPERATIONS)


def instances(count: int) -> Callable[[], float]:
    """A round of acquires among ``count`` idle instances, each of its own model, in seconds for each."""

    async def run() -> float:
        async with _api(count) as manager:
            wishes = [RuntimeProviderConfig("api", f"model-{number}") for number in range(count)]
            for wish in wishes:
                (await manager.get_adapter(wish)).release()
            began = clock()
            for number in range(OPERATIONS):
                (await manager.get_adapter(wishes[number * 7919 % count])).release()
            return (clock() - began) / OPERATIONS

    return lambda: trio.run(run)


# ---- memory ----


def memory(what: str) -> Callable[[], int]:
    """A round that tells the bytes that Python allocates for one more of ``what``."""
    return lambda: trio.run(MEMORY[what])


async def _bytes_each(make: Callable[[int], Awaitable[object]]) -> int:
    """Of ``COUNTED``, after one."""
    await make(1)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await make(COUNTED)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return round(taken / COUNTED)


async def _waiter() -> int:
    async with _api(1) as manager, trio.open_nursery() as nursery:
        wish = RuntimeProviderConfig("api", "model")
        lease = await manager.get_adapter(wish)

        async def wait() -> None:
            async with manager.acquire(wish):
                pass

        each = await _bytes_each(lambda count: _start(nursery, wait, count))
        nursery.cancel_scope.cancel()
        lease.release()
    return each


async def _waiter_of_a_limiter() -> int:
    limiter = trio.CapacityLimiter(1)
    async with limiter, trio.open_nursery() as nursery:

        async def wait() -> None:
            async with limiter:
                pass

        each = await _bytes_each(lambda count: _start(nursery, wait, count))
        nursery.cancel_scope.cancel()
    return each


async def _start(nursery: trio.Nursery, task: Callable[[], Awaitable[None]], count: int) -> None:
    for _ in range(count):
        nursery.start_soon(task)
    await trio.testing.wait_all_tasks_blocked()


async def _lease() -> int:
    provider = ProviderConfig("local", FakeAdapter, is_local=True, parallel=2 * COUNTED)
    async with ProviderManager(ProviderManagerConfig([provider], on_conflict="wait")) as manager:
        wish = RuntimeProviderConfig("local", "model")
        leases: list[Lease] = []

        async def take(count: int) -> None:
            for _ in range(count):
                leases.append(await manager.get_adapter(wish))

        each = await _bytes_each(take)
        for lease in leases:
            lease.release()
    return each


async def _instance() -> int:
    async with _api(2 * COUNTED) as manager:
        numbers = iter(range(2 * COUNTED))

        async def make(count: int) -> None:
            for _ in range(count):
                wish = RuntimeProviderConfig("api", f"model-{next(numbers)}")
                (await manager.get_adapter(wish)).release()
            await trio.testing.wait_all_tasks_blocked()

        return await _bytes_each(make)


MEMORY: Final = dict(zip(MEASURED, (_waiter, _waiter_of_a_limiter, _lease, _instance), strict=True))


def _api(limit: int) -> ProviderManager:
    provider = ProviderConfig("api", FakeAdapter, limit=limit, idle_timeout=None)
    return ProviderManager(ProviderManagerConfig([provider]))
