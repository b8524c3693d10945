"""What a recorder writes of a live manager."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import MockClock

from adapters import FakeAdapter
from simulation.drivers.recorder import TraceRecorder
from simulation.workloads.traces.notes import Notes
from simulation.workloads.traces.slots import read_slots
from statemachine import CallOptions, ProviderConfig, ProviderManager, ProviderManagerConfig, ReasoningEngine
from statemachine import RuntimeProviderConfig as Model


async def test_calls_are_recorded_with_agents_times_and_tokens(autojump_clock: MockClock, tmp_path: Path) -> None:
    recorder = TraceRecorder()
    options = {"load_seconds": 2.0, "unload_seconds": 1.0, "tokens": 5}
    local = ProviderConfig("local", recorder.watched(FakeAdapter), is_local=True, base_options=options)
    config = ProviderManagerConfig([local], on_conflict="wait")
    async with ProviderManager(config, observers=[recorder]) as manager:
        engine = ReasoningEngine(manager)

        async def ask(agent: str, model: str, delays: list[float]) -> None:
            for delay in delays:
                await trio.sleep(delay)
                call = CallOptions(Model("local", model), agent=agent)
                async with engine.call([{"role": "user", "content": "x"}], call) as stream:
                    async for _ in stream:
                        pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "ann", "small", [1.0, 5.0])
            nursery.start_soon(ask, "bob", "large", [1.5])
    path = tmp_path / "trace.jsonl"
    assert recorder.write(path) == 3
    ann, bob, again = read_slots(path, Notes())
    assert (ann.agent, ann.session, ann.model, ann.arrival_seconds, ann.depends_on) == ("ann", "ann", "small", 0.0, ())
    assert (bob.agent, bob.model, bob.arrival_seconds) == ("bob", "large", 0.5), (
        "when it asked, not when it was granted"
    )
    assert (again.agent, again.call, again.depends_on, again.think_seconds) == ("ann", 1, (0,), 5.0)
    assert ann.completion_tokens == 5
    assert any("a prompt of 0 tokens" in sentence for sentence in recorder.notes.sentences()), "the fake tells none"
