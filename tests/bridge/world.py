"""Adapters of one local server that notice when they are used against the rules, and programs that are run to their very end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from statemachine import (
    AdapterConfig,
    AsyncioProviderManager,
    CallOptions,
    Message,
    ProviderConfig,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    StreamEvent,
)

T = TypeVar("T")
PROMPT: Sequence[Message] = [{"role": "user", "content": "one two three"}]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def uvloop_factory() -> asyncio.AbstractEventLoop:
    """An event loop of uvloop; without it, the test is skipped."""
    loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop", reason="uvloop is not installed").new_event_loop()
    return loop


class World:
    """What happens to the adapters of one server. ``events`` are what a call yields; ``steps``: checkpoints of everything that takes time.

    A start, a call or a shutdown of a model named in ``gates`` waits for its gate as well.
    """

    def __init__(self, events: int = 3, steps: int = 1) -> None:
        self.events = events
        self.steps = steps
        self.live: list[ServedAdapter] = []
        self.made = 0
        self.shut_down = 0
        self.faults: list[str] = []
        self.calls: Counter[str] = Counter()
        self.gates: dict[str, trio.Event] = {}
        self.asked_for: list[int] = []  # the numbers of the events that were asked for, in order

    def __call__(self, config: AdapterConfig) -> ServedAdapter:
        self.made += 1
        return ServedAdapter(self, config)

    async def pass_time(self) -> None:
        """Let others run, as work does."""
        for _ in range(self.steps):
            await trio.lowlevel.checkpoint()

    async def at_gate(self, name: str) -> None:
        """Wait where a gate says so."""
        if name in self.gates:
            await self.gates[name].wait()

    async def open_gate(self, name: str) -> None:
        """Let those go on who wait at the gate."""
        self.gates[name].set()

    def check_nothing_is_left(self) -> None:
        """After a program: every adapter was shut down once, and none of the rules was broken."""
        assert self.faults == []
        assert self.live == []
        assert self.made == self.shut_down

    def config(self, **options: Any) -> ProviderManagerConfig:
        """One local provider, ``local``, whose requests wait for one another, looked at after every step."""
        provider = ProviderConfig("local", self, is_local=True, parallel=options.pop("parallel", 1))
        return ProviderManagerConfig(
            [provider], **{"on_conflict": "wait", "check_invariants": True, "close_grace": 5, **options}
        )


class ServedAdapter:
    """One adapter of the world's server."""

    def __init__(self, world: World, config: AdapterConfig) -> None:
        self.world = world
        self.model = config.model_id
        self.calls = 0

    async def start(self) -> None:
        if self.world.live:
            self.world.faults.append(f"{self.model} is started beside {self.world.live[0].model}")
        self.world.live.append(self)
        await self.world.pass_time()
        await self.world.at_gate(f"start {self.model}")

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        world = self.world
        world.calls[self.model] += 1
        self.calls += 1
        try:
            for number in range(world.events):
                world.asked_for.append(number)
                await world.pass_time()
                await world.at_gate(f"call {self.model}")
                if self not in world.live:
                    world.faults.append(f"{self.model} is stopped under a call")
                yield StreamEvent("token", f"{number} ")
            yield StreamEvent("end", "stop")
        finally:
            self.calls -= 1

    async def shutdown(self) -> None:
        if self.calls:
            self.world.faults.append(f"{self.model} is shut down under {self.calls} calls")
        await self.world.pass_time()
        await self.world.at_gate(f"shutdown {self.model}")
        with suppress(ValueError):  # it was never started
            self.world.live.remove(self)
        self.world.shut_down += 1


def want(model: str) -> RuntimeProviderConfig:
    """A model of the local provider."""
    return RuntimeProviderConfig("local", model)


def background_threads() -> list[threading.Thread]:
    """The background threads that are alive."""
    return [thread for thread in threading.enumerate() if thread.name == "llm-slot-manager"]


def run(main: Callable[[], Coroutine[Any, Any, T]], loop_factory: LoopFactory | None = None) -> T:
    """Run an asyncio program. What the loop would only log, such as an error in a callback, fails it, and so does a thread that stays."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        return await main()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result = runner.run(watched())
    check_threads_have_ended()
    assert complaints == []
    return result


def check_threads_have_ended() -> None:
    """The background thread ends by itself when its last user has gone."""
    for thread in background_threads():
        thread.join(timeout=10)
    assert background_threads() == []


async def until(manager: AsyncioProviderManager, holds: Callable[[], bool]) -> None:
    """Let the background thread go on until ``holds``, which is asked there whenever nothing is left to do."""

    async def watch() -> None:
        await trio.testing.wait_all_tasks_blocked()
        while not holds():
            await trio.testing.wait_all_tasks_blocked()

    await manager.run(watch)


async def soon(awaitable: Awaitable[T]) -> asyncio.Task[T]:
    """The task of ``awaitable``, once it has begun to wait."""

    async def wrapped() -> T:
        return await awaitable

    task = asyncio.create_task(wrapped())
    await asyncio.sleep(0)
    return task
