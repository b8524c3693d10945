"""The scenarios: warm acquire and release, the price of a long queue, ``step`` alone, and one trigger of a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import trio

from statemachine import (
    AdapterConfig,
    CallOptions,
    Message,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    StreamEvent,
)
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import (
    AcquireRequested,
    Event,
    Grant,
    Opened,
    Released,
    StartInstance,
    StartSucceeded,
    StopInstance,
    Stopped,
)
from statemachine.core.lifecycle import INSTANCE

from .measuring.compare import Comparison, clock, clock_of_children, compare, timed

__all__ = [
    "LIMIT",
    "config_of",
    "growth_of_manager",
    "growth_of_step",
    "import_time",
    "limiter_hand_offs",
    "machine_trigger",
    "manager_hand_offs",
    "warm_acquire_release",
]

SIGNATURES = 7
LIMIT = 5
FEW, MANY = 10, 10_000


class _Nothing:
    """An adapter that costs nothing: it needs no start and no shutdown, and is never called."""

    def __init__(self, config: AdapterConfig) -> None:
        pass

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        yield StreamEvent("end")


def _config() -> ProviderManagerConfig:
    return ProviderManagerConfig([ProviderConfig("api", _Nothing, limit=LIMIT)])


def _local() -> ProviderManagerConfig:
    provider = ProviderConfig("local", _Nothing, is_local=True, parallel=LIMIT)
    return ProviderManagerConfig([provider], on_conflict="wait")


def config_of(provider: str) -> ProviderManagerConfig:
    """The configuration with the "api" provider, or with the "local" slot."""
    return _config() if provider == "api" else _local()


def _wishes() -> list[RuntimeProviderConfig]:
    return [RuntimeProviderConfig("api", f"model-{n}") for n in range(SIGNATURES)]


# ---- warm acquire and release ----


def warm_acquire_release(rounds: int, kind: str = "api", operations: int = 3000) -> Comparison:
    """What is idle is acquired and released, against an uncontended ``trio.CapacityLimiter``.

    ``kind``: an instance of an "api" provider, the "local" slot, or that slot with a "fresh" configuration object for each call.
    """
    provider = "api" if kind == "api" else "local"

    async def ours() -> float:
        async with ProviderManager(config_of(provider)) as manager:
            wish = RuntimeProviderConfig(provider, "model")
            (await manager.get_adapter(wish)).release()
            began = clock()
            if kind == "fresh":
                for _ in range(operations):
                    (await manager.get_adapter(RuntimeProviderConfig(provider, "model"))).release()
            else:
                for _ in range(operations):
                    (await manager.get_adapter(wish)).release()
            return (clock() - began) / operations

    async def theirs() -> float:
        limiter = trio.CapacityLimiter(LIMIT)
        began = clock()
        for _ in range(operations):
            await limiter.acquire()
            limiter.release()
        return (clock() - began) / operations

    return compare(lambda: trio.run(ours), lambda: trio.run(theirs), rounds)


# ---- a long queue ----


def growth_of_manager(rounds: int, operations: int = 4000) -> tuple[Comparison, Comparison]:
    """Hand-offs with few and with many waiters of mixed signatures: the manager's (many, few), the limiter's (many, few)."""

    def manager(waiters: int) -> Callable[[], float]:
        return lambda: trio.run(manager_hand_offs, waiters, operations)

    def limiter(waiters: int) -> Callable[[], float]:
        return lambda: trio.run(limiter_hand_offs, waiters, operations)

    return compare(manager(MANY), manager(FEW), rounds), compare(limiter(MANY), limiter(FEW), rounds)


async def manager_hand_offs(waiters: int, operations: int) -> float:
    """Seconds per hand-off with ``waiters`` waiters of mixed signatures."""
    async with ProviderManager(_config()) as manager:
        wishes = _wishes()

        async def turn(client: int) -> None:
            async with manager.acquire(wishes[client % SIGNATURES]):
                await trio.lowlevel.checkpoint()

        return await _hand_offs(turn, waiters + LIMIT, operations)


async def limiter_hand_offs(waiters: int, operations: int) -> float:
    """Seconds per hand-off of ``trio.CapacityLimiter`` with ``waiters`` waiters."""
    limiter = trio.CapacityLimiter(LIMIT)

    async def turn(client: int) -> None:
        async with limiter:
            await trio.lowlevel.checkpoint()

    return await _hand_offs(turn, waiters + LIMIT, operations)


async def _hand_offs(turn: Callable[[int], Awaitable[None]], clients: int, operations: int) -> float:
    """Seconds per turn while ``clients`` tasks take turns without end; timed once all of them wait."""
    done = 0
    began = 0.0
    finished = trio.Event()

    async def client(number: int) -> None:
        nonlocal done, began
        while True:
            await turn(number)
            done += 1
            if done == 1000:
                began = clock()
            elif done == 1000 + operations:
                finished.set()

    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(client, number)
        await finished.wait()
        seconds = clock() - began
        nursery.cancel_scope.cancel()
    return seconds / (done - 1000)


# ---- step alone ----


def growth_of_step(rounds: int, operations: int = 3000) -> Comparison:
    """``Coordinator.step`` with many waiters of mixed signatures, against few: seconds per hand-off with all its events."""
    return compare(_step_hand_offs(MANY, operations), _step_hand_offs(FEW, operations), rounds)


def _step_hand_offs(waiters: int, operations: int) -> Callable[[], float]:
    config = _config()
    demands = [config.resolve(wish) for wish in _wishes()]
    coordinator = Coordinator(config)
    coordinator.step(Opened(), 0.0)
    granted: deque[int] = deque()
    ticket = 0

    def happens(event: Event) -> None:
        events = deque([event])
        while events:
            for effect in coordinator.step(events.popleft(), 0.0):
                if isinstance(effect, Grant):
                    granted.append(effect.ticket)
                elif isinstance(effect, StartInstance):
                    events.append(StartSucceeded(effect.instance))
                elif isinstance(effect, StopInstance):
                    events.append(Stopped(effect.instance))

    def arrive() -> None:
        nonlocal ticket
        ticket += 1
        happens(AcquireRequested(ticket, demands[ticket % SIGNATURES], ticket))

    def work() -> None:
        for _ in range(operations):
            happens(Released(granted.popleft()))
            arrive()

    for _ in range(waiters + LIMIT):
        arrive()
    return lambda: timed(work, operations)


# ---- the import ----


def import_time(rounds: int) -> Comparison:
    """``import statemachine`` in a new interpreter, against ``import trio``, both with the start of the interpreter.

    Both are compiled to bytecode before, as by an installer, whatever the environment says about writing it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def seconds(module: str) -> Callable[[], float]:
        def run() -> float:
            before = clock_of_children()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True, env=environment)
            return clock_of_children() - before

        return run

    with TemporaryDirectory() as bytecode:
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        return compare(seconds("statemachine"), seconds("trio"), rounds)


# ---- one trigger ----


def machine_trigger(rounds: int, operations: int = 4000) -> Comparison:
    """acquire and release of an instance through the compiled table, against plain ``transitions`` (ours / theirs)."""
    subject = SimpleNamespace(state="idle")

    def ours() -> None:
        for _ in range(operations):
            INSTANCE.fire(subject, "acquire")
            INSTANCE.fire(subject, "release")

    def theirs() -> None:
        acquire, release = INSTANCE.events["acquire"], INSTANCE.events["release"]
        for _ in range(operations):
            acquire.trigger(subject)
            release.trigger(subject)

    return compare(lambda: timed(ours, 2 * operations), lambda: timed(theirs, 2 * operations), rounds)
