"""Overhead: to acquire and release what is free, and to hand over what others wait for, against pools, limiters and locks.

Every figure is of one process, in seconds per acquire and release. Warm: nothing else runs. Contended: ``WAITERS`` tasks (threads, where
the peer is for threads) take turns without end on ``PLACES`` places; a holder gives way once before it releases.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import httpcore
import trio

from adapters import FakeAdapter
from statemachine import ProviderConfig, ProviderManager, ProviderManagerConfig, RuntimeProviderConfig

from .measuring.compare import clock
from .measuring.results import load, write
from .measuring.rounds import Side, against, alternate, packages_of

__all__ = ["measure"]

OPERATIONS: Final = 2000
PLACES: Final = 5
WAITERS: Final = 50
Enter = Callable[[], AbstractAsyncContextManager[object]]


def measure(folder: Path, rounds: int) -> Path:
    """Measure and write ``overhead.json``."""
    before = load()
    figures: dict[str, Any] = {"skipped": {}}
    for kind, sides in {"warm": WARM, "contended": CONTENDED}.items():
        timings, skipped = alternate(sides, rounds)
        figures[kind] = against(timings, "trio.CapacityLimiter")
        figures["skipped"] |= skipped
    return write(folder, "overhead", figures, load_before=before, packages=packages_of(WARM))


# ---- what is entered ----


@asynccontextmanager
async def manager_api() -> AsyncIterator[Enter]:
    """Our manager, an instance of an API provider."""
    provider = ProviderConfig("api", FakeAdapter, limit=PLACES, idle_timeout=None)
    async with ProviderManager(ProviderManagerConfig([provider])) as manager:
        yield partial(manager.acquire, RuntimeProviderConfig("api", "model"))


@asynccontextmanager
async def manager_local() -> AsyncIterator[Enter]:
    """Our manager, the slot of a local server."""
    async with _local_manager() as manager:
        yield partial(manager.acquire, RuntimeProviderConfig("local", "model"))


def _local_manager() -> ProviderManager:
    provider = ProviderConfig("local", FakeAdapter, is_local=True, parallel=PLACES)
    return ProviderManager(ProviderManagerConfig([provider], on_conflict="wait"))


@asynccontextmanager
async def manager_fresh() -> AsyncIterator[Enter]:
    """The same with a configuration object made for each call."""
    async with _local_manager() as manager:
        yield lambda: manager.acquire(RuntimeProviderConfig("local", "model"))


@asynccontextmanager
async def trio_limiter() -> AsyncIterator[Enter]:
    """trio's own."""
    limiter = trio.CapacityLimiter(PLACES)
    yield lambda: limiter


@asynccontextmanager
async def anyio_limiter() -> AsyncIterator[Enter]:
    """anyio's, on asyncio and on trio."""
    limiter = anyio.CapacityLimiter(PLACES)
    yield lambda: limiter


@asynccontextmanager
async def httpcore_pool() -> AsyncIterator[Enter]:
    """httpcore's pool of connections, on a backend that answers from memory: a GET whose empty answer is read to its end."""
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"] * (2 * OPERATIONS)
    async with httpcore.AsyncConnectionPool(
        max_connections=PLACES, max_keepalive_connections=PLACES, network_backend=httpcore.AsyncMockBackend(answers)
    ) as pool:

        @asynccontextmanager
        async def enter() -> AsyncIterator[object]:
            async with pool.stream("GET", "http://example.com/") as response:
                yield response
                await response.aread()

        yield enter


@asynccontextmanager
async def lock_per_model() -> AsyncIterator[Enter]:
    """As users write it: a dictionary of locks. One place for each model."""
    locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
    yield lambda: locks["model"]


# ---- how it is measured ----

Contender = Callable[[], AbstractAsyncContextManager[Enter]]


def warm(name: str, library: str) -> Callable[[], float]:
    """A round of acquires of what is free."""

    async def run() -> float:
        contender: Contender = globals()[name]
        async with contender() as enter:
            async with enter():
                pass
            began = clock()
            for _ in range(OPERATIONS):
                async with enter():
                    pass
            return (clock() - began) / OPERATIONS

    return partial(_run, run, library)


def contended(name: str, library: str) -> Callable[[], float]:
    """A round of hand-offs."""

    async def run() -> float:
        contender: Contender = globals()[name]
        async with contender() as enter, anyio.create_task_group() as tasks:
            done, began, over = 0, 0.0, anyio.Event()

            async def client() -> None:
                nonlocal done, began
                while True:
                    async with enter():
                        await anyio.lowlevel.checkpoint()
                    done += 1
                    if done == 500:  # all of them wait by now
                        began = clock()
                    elif done == 500 + OPERATIONS:
                        over.set()

            for _ in range(WAITERS):
                tasks.start_soon(client)
            await over.wait()
            seconds = (clock() - began) / (done - 500)
            tasks.cancel_scope.cancel()
        return seconds

    return partial(_run, run, library)


def _run(main: Callable[[], Awaitable[float]], library: str) -> float:
    return anyio.run(main, backend=library)


def _sides(kind: str) -> dict[str, Side]:
    def side(name: str, library: str = "trio") -> Side:
        return Side(f"benchmarks.overhead:{kind}", (name, library))

    return {
        "ours, API pool": side("manager_api"),
        "ours, local slot": side("manager_local"),
        "ours, local slot, a new configuration object per call": side("manager_fresh"),
        "trio.CapacityLimiter": side("trio_limiter"),
        "anyio.CapacityLimiter on trio": side("anyio_limiter"),
        "anyio.CapacityLimiter on asyncio": side("anyio_limiter", "asyncio"),
        "httpcore's pool, mock backend": side("httpcore_pool"),
        "asyncio.Lock per model": side("lock_per_model", "asyncio"),
        "SQLAlchemy's QueuePool": Side(
            f"benchmarks.peers.sqlalchemy_pool:{kind}", (PLACES, WAITERS, OPERATIONS), "libraries"
        ),
    }


WARM: Final = _sides("warm")
CONTENDED: Final = _sides("contended")
