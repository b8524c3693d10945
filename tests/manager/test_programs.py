"""Generated programs of agents against the real manager under explored schedules, with adapters that are slow, fail and hang."""

from __future__ import annotations

from functools import partial

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
from statemachine.config.adapter import Adapter
from statemachine.core.coordinator import Coordinator, Watch
from statemachine.errors import InvariantError
from statemachine.properties.invariants import watch_invariants
from statemachine.schedules import NATURAL, PCT, Exhaustive, RandomWalk, Tape, explore, run
from tests.proof.agents import BEHAVIOURS, Acquire, Agent, End, Hold, Stream
from tests.proof.drawn import SMALL, drawn, small
from tests.proof.life import Life, live
from tests.proof.mutants.managers import LeakedSlot, LostWakeUp

pytestmark = pytest.mark.filterwarnings("ignore:a lease of .* was dropped unreleased:ResourceWarning")

_PROVIDERS = st.sampled_from(["api", "local", "other"])
_BEHAVIOURS = st.sampled_from(list(BEHAVIOURS))
_OPERATIONS = st.one_of(
    st.builds(Acquire, _PROVIDERS, _BEHAVIOURS, st.sampled_from([None, 0, 1, 3]), st.integers(0, 1)),
    st.builds(Hold, st.sampled_from([0, 1, 2, 4, 20])),
    st.builds(End, st.sampled_from(["release", "twice", "broken", "drop"])),
    st.builds(Stream, _PROVIDERS, _BEHAVIOURS, st.sampled_from([None, 0, 1])),
)
_AGENTS = st.builds(
    Agent,
    st.sampled_from([0, 1, 2, 4]),
    st.sampled_from([None, None, 0, 1, 3, 6]),
    st.lists(_OPERATIONS, min_size=1, max_size=6).map(tuple),
)
_OPTIONS = st.fixed_dictionaries(
    {
        "max_parallel_api_instances_per_provider": st.integers(1, 3),
        "api_instance_idle_timeout_seconds": st.sampled_from([None, 2]),
        "on_limit": st.sampled_from(["wait", "raise"]),
        "on_conflict": st.sampled_from(["wait", "raise"]),
        "local_scope": st.sampled_from(["all", "endpoint"]),
        "max_waiting": st.sampled_from([None, 0, 2]),
        "acquire_timeout": st.just(40),  # bounds waits across pools in opposite orders, as nothing else does
        "start_timeout": st.sampled_from([8, 20]),
    }
)
_LIVES = st.builds(
    Life,
    agents=st.lists(_AGENTS, min_size=1, max_size=5).map(tuple),
    lasts=st.sampled_from([None, None, 2, 5, 9]),
    ends=st.sampled_from(["leave", "leave", "raise", "cancel"]),
    parallel=st.integers(1, 3),
    options=_OPTIONS,
)
_TAPES = st.dictionaries(st.integers(1, 80), st.integers(1, 4), max_size=20).map(lambda drawn: Tape(drawn.items()))


@settings(max_examples=4 * settings().max_examples)
@given(life=_LIVES, tape=_TAPES)
def test_whatever_agents_do_no_instance_and_no_lease_is_lost(life: Life, tape: Tape) -> None:
    run(lambda: live(life), tape).raise_if_failed()


@pytest.mark.parametrize("name", SMALL)
def test_small_programs_survive_every_schedule(name: str) -> None:
    report = explore(partial(small, name), Exhaustive())
    report.raise_if_failed()
    assert report.complete
    assert report.runs > 40


@pytest.mark.parametrize("strategy", [RandomWalk(60, 7), PCT(60, 7)], ids=["random", "PCT"])
@pytest.mark.parametrize("seed", [0, 8, 17])
def test_larger_programs_survive_many_schedules(seed: int, strategy: RandomWalk | PCT) -> None:
    report = explore(partial(drawn, seed), strategy)
    report.raise_if_failed()
    assert report.schedules > 30


# ---- wrong managers ----


@pytest.mark.parametrize(
    ("mutant", "name"),
    [(LostWakeUp, "a hand-off"), (LeakedSlot, "a cancelled start")],
)
def test_a_wrong_manager_is_caught_by_a_short_tape_that_catches_it_again(
    mutant: type[ProviderManager], name: str
) -> None:
    program = partial(small, name, f"{mutant.__module__}:{mutant.__qualname__}")
    failure = explore(program, RandomWalk(400)).failure
    assert failure is not None
    assert failure.reproducible
    assert len(failure.run.tape) <= 4
    assert run(program, failure.run.tape).deviations == failure.run.deviations
    assert explore(partial(small, name), RandomWalk(10)).failure is None


def watched(instead: Watch, config: ProviderManagerConfig, *, record: bool, watch: Watch | None) -> Coordinator:
    """A core that is watched."""
    return Coordinator(config, record=record, watch=instead)


def test_a_construction_that_fails_only_after_its_start_was_given_up_on() -> None:
    """A factory is called synchronously, so it may take longer than ``start_timeout``. The manager must survive that."""

    def factory(config: AdapterConfig) -> Adapter:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        clock.jump(2)
        raise OSError("no such server")

    async def main() -> None:
        config = ProviderManagerConfig([ProviderConfig("api", factory)], start_timeout=1, shutdown_timeout=5)
        complaints: list[InvariantError] = []
        manager = ProviderManager(config, core=partial(watched, watch_invariants(complaints.append)))
        async with manager:
            with pytest.raises(AdapterInstantiationError):
                await manager.get_adapter(RuntimeProviderConfig("api", "m"))
            await trio.sleep(10)
            assert manager.statistics().providers["api"].live == 0
        assert complaints == []

    run(main, NATURAL).raise_if_failed()
