"""Generated asyncio programs: tasks that acquire, stream, drop and are cancelled at any of their awaits.

``python -m tests.bridge.programs --programs 2000`` runs many, and says what they have covered. Each keeps the three invariants: one live
instance per slot; no lease on a stopping instance, and none shut down under a call; nothing is left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from statemachine import (
    AsyncioProviderManager,
    AsyncioReasoningEngine,
    CallOptions,
    LeaseReleasedError,
    ProviderManagerError,
)

from .world import PROMPT, LoopFactory, World, run, want

Kind = Literal["acquire", "stream", "leave early", "raw", "release twice", "drop", "nested"]
KINDS: tuple[Kind, ...] = ("acquire", "stream", "leave early", "raw", "release twice", "drop", "nested")


@dataclass(frozen=True)
class Step:
    """What a task does once: with one model, or with another inside of it."""

    kind: Kind
    model: str
    timeout: float | None


@dataclass(frozen=True)
class Agent:
    """One asyncio task. It is cancelled at its ``cancel_at``-th await, ``after`` turns of the event loop later, if at all."""

    steps: tuple[Step, ...]
    cancel_at: int | None
    after: int


@dataclass(frozen=True)
class Program:
    """``agents`` side by side, on adapters that yield ``events`` tokens and take ``pauses`` steps. It may end by an error."""

    agents: tuple[Agent, ...]
    parallel: int
    events: int
    pauses: int
    raises: bool


_STEPS = st.builds(Step, st.sampled_from(KINDS), st.sampled_from("abc"), st.sampled_from([None, None, 0.002, 5.0]))
_AGENTS = st.builds(
    Agent,
    st.lists(_STEPS, min_size=1, max_size=3).map(tuple),
    st.none() | st.integers(0, 12),
    st.sampled_from([0, 0, 1, 2, 5]),
)
PROGRAMS = st.builds(
    Program,
    st.lists(_AGENTS, min_size=1, max_size=5).map(tuple),
    st.integers(1, 2),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
)


class Cancelling:
    """Awaits ``body``, and cancels the task that does so at one of its awaits."""

    def __init__(self, body: Coroutine[Any, Any, None], agent: Agent) -> None:
        self._body = body
        self._agent = agent

    def __await__(self) -> Generator[Any, Any, None]:
        task = asyncio.current_task()
        assert task is not None
        number = 0
        resume: Callable[[], Any] = partial(self._body.send, None)
        while True:
            try:
                waits_for = resume()
            except StopIteration:
                return
            if number == self._agent.cancel_at:
                _cancel_after(task, self._agent.after)
            number += 1
            try:
                yield waits_for
                resume = partial(self._body.send, None)
            except BaseException as error:
                resume = partial(self._body.throw, error)


def _cancel_after(task: asyncio.Task[Any], turns: int) -> None:
    if turns == 0:
        task.cancel()
    else:
        asyncio.get_running_loop().call_soon(_cancel_after, task, turns - 1)


async def _perform(step: Step, manager: AsyncioProviderManager, engine: AsyncioReasoningEngine) -> None:
    config, options = want(step.model), CallOptions(want(step.model), timeout=step.timeout)
    if step.kind == "acquire":
        async with manager.acquire(config, step.timeout) as lease:
            assert lease.model_id == step.model
            await asyncio.sleep(0)
    elif step.kind == "raw":
        async with manager.acquire(config, step.timeout) as lease:
            async with aclosing(lease.adapter.call(PROMPT, options)) as events:
                async for _ in events:
                    pass
    elif step.kind == "stream":
        async with engine.call(PROMPT, options) as stream:
            kinds = [event.type async for event in stream]
        assert kinds[-1] == "end"
    elif step.kind == "leave early":
        async with engine.call(PROMPT, options) as stream:
            await anext(stream)
    elif step.kind == "release twice":
        lease = await manager.get_adapter(config, step.timeout)
        lease.release()
        lease.release()
    elif step.kind == "drop":
        await manager.get_adapter(config, step.timeout)
    else:
        async with manager.acquire(config, step.timeout):
            async with manager.acquire(want("b"), step.timeout or 0.02):  # two of them may wait for one another
                pass


async def _live(
    agent: Agent, manager: AsyncioProviderManager, engine: AsyncioReasoningEngine, seen: Counter[str]
) -> None:
    for step in agent.steps:
        try:
            await _perform(step, manager, engine)
            seen[step.kind] += 1
        except (ProviderManagerError, LeaseReleasedError) as error:
            seen[type(error).__name__] += 1


def run_program(program: Program, seen: Counter[str], loop_factory: LoopFactory | None = None) -> None:
    """Run it, and look at what is left. Raises AssertionError."""
    world = World(events=program.events, steps=program.pauses)

    async def main() -> None:
        async with AsyncioProviderManager(world.config(parallel=program.parallel)) as manager:
            engine = AsyncioReasoningEngine(manager)

            async def cancellable(agent: Agent) -> None:
                await Cancelling(_live(agent, manager, engine, seen), agent)

            tasks = [asyncio.create_task(cancellable(agent)) for agent in program.agents]
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, asyncio.CancelledError):
                    seen["cancelled"] += 1
                elif outcome is not None:
                    raise outcome
            del tasks
            gc.collect(0)
            # what was dropped, cancelled or released keeps no other waiting
            async with manager.acquire(want("a"), timeout=30):
                statistics = manager.statistics()
            assert statistics.slots["local"].waiting == statistics.slots["local"].assigned == 0
            assert statistics.slots["local"].leases == 1
            if program.raises:
                raise KeyError("the program's own")

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "a lease of", ResourceWarning)
        try:
            run(main, loop_factory)
        except KeyError:
            assert program.raises
    world.check_nothing_is_left()
    seen["programs"] += 1


def run_many(programs: int, seen: Counter[str], loop_factory: LoopFactory | None = None) -> None:
    """Generate and run this number of programs, the same each time; a failure is shrunk, and raised."""

    @settings(
        max_examples=programs,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=True,
        derandomize=True,
    )
    @given(PROGRAMS)
    def check(program: Program) -> None:
        run_program(program, seen, loop_factory)

    check()


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bridge.programs", description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=2000, help="how many (default: %(default)s)")
    args = parser.parse_args(argv)
    seen: Counter[str] = Counter()
    began = time.monotonic()
    run_many(args.programs, seen)
    print(f"{seen.pop('programs')} programs in {time.monotonic() - began:.0f} s, none of them breaks a rule")
    for what, times in seen.most_common():
        print(f"{times:8} {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
