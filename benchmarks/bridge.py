"""What the bridge costs: an acquire with its release, and an event of a stream, in trio itself, from asyncio and from a plain thread.

``python -m benchmarks.bridge`` prints microseconds, the least of several rounds. The adapter answers at once, so all that is measured
is the way there and back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from statemachine import (
    AdapterConfig,
    AsyncioProviderManager,
    AsyncioReasoningEngine,
    CallOptions,
    Message,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
    SyncProviderManager,
    SyncReasoningEngine,
)

ROUNDS = 15
TIMES = 400
MODEL = RuntimeProviderConfig("local", "m")
PROMPT: Sequence[Message] = [{"role": "user", "content": "go"}]


class Instant:
    """Answers with ``TIMES`` tokens, at once."""

    def __init__(self, config: AdapterConfig) -> None:
        pass

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        token = StreamEvent("token", "x")
        for _ in range(TIMES):
            yield token
        yield StreamEvent("end", "stop")


CONFIG = ProviderManagerConfig([ProviderConfig("local", Instant, is_local=True)])
Measured = dict[str, list[float]]


async def _measure(
    acquire: Callable[[], Awaitable[None]], stream: Callable[[], Awaitable[None]], measured: Measured
) -> None:
    await acquire()  # the start is not measured
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TIMES):
            await acquire()
        between = time.perf_counter()
        await stream()
        measured["acquire and release"].append((between - began) / TIMES)
        measured["event"].append((time.perf_counter() - between) / TIMES)


async def _in_trio(measured: Measured) -> None:
    async with ProviderManager(CONFIG) as manager:
        engine = ReasoningEngine(manager)

        async def acquire() -> None:
            async with manager.acquire(MODEL):
                pass

        async def stream() -> None:
            async with engine.call(PROMPT, CallOptions(MODEL)) as events:
                async for _ in events:
                    pass

        await _measure(acquire, stream, measured)


async def _in_asyncio(measured: Measured) -> None:
    async with AsyncioProviderManager(CONFIG) as manager:
        engine = AsyncioReasoningEngine(manager)

        async def acquire() -> None:
            async with manager.acquire(MODEL):
                pass

        async def stream() -> None:
            async with engine.call(PROMPT, CallOptions(MODEL)) as events:
                async for _ in events:
                    pass

        await _measure(acquire, stream, measured)


def _in_a_thread(measured: Measured) -> None:
    with SyncProviderManager(CONFIG) as manager:
        engine = SyncReasoningEngine(manager)

        async def acquire() -> None:
            with manager.acquire(MODEL):
                pass

        async def stream() -> None:
            with engine.call(PROMPT, CallOptions(MODEL)) as events:
                for _ in events:
                    pass

        work = _measure(acquire, stream, measured)
        with suppress(StopIteration):
            work.send(None)  # nothing in it waits for an event loop


def main() -> None:
    """Measure and print."""
    runs: list[tuple[str, Callable[[Measured], object]]] = [
        ("trio", lambda measured: trio.run(_in_trio, measured)),
        ("asyncio", lambda measured: asyncio.run(_in_asyncio(measured))),
        ("a plain thread", _in_a_thread),
    ]
    try:
        import uvloop

        runs.insert(2, ("uvloop", lambda measured: uvloop.run(_in_asyncio(measured))))
    except ImportError:
        print("uvloop is not installed")
    for name, run in runs:
        measured: Measured = {"acquire and release": [], "event": []}
        run(measured)
        figures = ", ".join(f"{what} {min(seconds) * 1e6:.0f} us" for what, seconds in measured.items())
        print(f"{name}: {figures}")


if __name__ == "__main__":
    main()
