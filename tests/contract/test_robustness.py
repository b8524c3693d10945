"""What once went wrong in ways that no sentence of the contract names: bad policies, rude observers, foreign threads and errors."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from adapters import FakeAdapter, LMStudioAdapter
from statemachine import (
    AdapterConfig,
    Affinity,
    CallOptions,
    Choice,
    ConfigurationError,
    Fifo,
    Gated,
    Message,
    ModelEvictedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
    Transition,
)
from statemachine.config.identity import public_url
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import (
    AcquireRequested,
    Cancelled,
    Event,
    FoundBroken,
    Opened,
    Released,
    StartFailed,
    StartSucceeded,
    Stopped,
)
from statemachine.core.index import Request
from statemachine.core.snapshot import restore, snapshot
from statemachine.policies import PolicyFactory, Prioritised
from tests.proof.recorder import Recorder

X, Y = RuntimeProviderConfig("local", "x"), RuntimeProviderConfig("local", "y")
Y_FREE = RuntimeProviderConfig("other", "y")
EVICTED = RuntimeProviderConfig("clumsy", "bad")
HI: Sequence[Message] = [{"role": "user", "content": "hi"}]


def config_of(**options: object) -> ProviderManagerConfig:
    local = ProviderConfig("local", FakeAdapter, is_local=True, parallel=2)
    return ProviderManagerConfig([local, ProviderConfig("other", FakeAdapter)], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", [partial(Affinity, -1), object, lambda: None])
def test_a_bad_policy_is_refused_when_it_is_given(policy: PolicyFactory) -> None:
    with pytest.raises(ConfigurationError):
        config_of(policy=policy)


class Rude(BaseException):
    """Such as a KeyboardInterrupt."""


async def test_an_observer_that_raises_anything_costs_no_effect(autojump_clock: MockClock) -> None:
    def observer(change: Transition) -> None:
        if change.trigger == "stop":
            raise Rude

    with pytest.raises((Rude, BaseExceptionGroup)):
        async with ProviderManager(config_of(), observers=[observer]) as manager:
            (await manager.get_adapter(X)).release()
    assert manager.statistics().slots["local"].state == "vacant", "it was stopped all the same"


def rude_at(*what: str) -> Callable[[Transition], None]:
    """An observer that raises Rude at one change: machine and trigger."""

    def observer(change: Transition) -> None:
        if (change.machine, change.trigger) == what:
            raise Rude

    return observer


async def test_what_an_observer_raises_leaves_where_the_change_was_caused() -> None:
    async with ProviderManager(config_of(), observers=[rude_at("request", "release")]) as manager:
        lease = await manager.get_adapter(X)
        with pytest.raises(Rude):
            lease.release()
        assert lease.released
        with pytest.raises(Rude):
            async with manager.acquire(Y):
                pass
        assert manager.statistics().slots["local"].state == "resident"


async def test_what_an_observer_raises_while_the_manager_is_left_is_not_lost() -> None:
    with pytest.raises(Rude) as caught:
        async with ProviderManager(config_of(), observers=[rude_at("pool", "close")]) as manager:
            (await manager.get_adapter(X)).release(broken=True)
            await trio.testing.wait_all_tasks_blocked()  # nothing is left that would step the model once more
            raise KeyError("mine")
    assert isinstance(caught.value.__context__, KeyError)


async def test_what_an_observer_raises_at_a_deadline_leaves_the_other_deadlines_in_force(
    autojump_clock: MockClock,
) -> None:
    recorder = Recorder()
    providers = [ProviderConfig("p", recorder.adapter, idle_timeout=10)]
    config = ProviderManagerConfig(providers, shutdown_timeout=30)
    slow = RuntimeProviderConfig("p", "slow", {"unload_seconds": 1000})
    with pytest.raises(BaseExceptionGroup) as caught:
        async with ProviderManager(config, observers=[rude_at("instance", "stop")]) as manager:
            (await manager.get_adapter(slow)).release()
            await trio.sleep(100)
    assert caught.value.split(Rude)[1] is None
    assert recorder.adapters[0].given_up
    assert trio.current_time() == 10 + 30


async def test_what_an_observer_raises_when_a_start_ends_leaves_at_once(autojump_clock: MockClock) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with ProviderManager(config_of(), observers=[rude_at("instance", "activate")]) as manager:
            async with manager.acquire(X):
                await trio.sleep(100)
    assert caught.value.split(Rude)[1] is None
    assert trio.current_time() < 100


async def test_an_error_of_another_instance_breaks_nobody_else(autojump_clock: MockClock) -> None:
    providers = [*config_of().available_providers, ProviderConfig("clumsy", Clumsy)]
    async with ProviderManager(ProviderManagerConfig(providers)) as manager:
        engine = ReasoningEngine(manager)
        with pytest.raises(ModelEvictedError):
            async with manager.acquire(X), engine.call(HI, CallOptions(Y_FREE)) as outer:
                await anext(outer)
                async with engine.call(HI, CallOptions(EVICTED)) as inner:
                    await anext(inner)
        assert manager.statistics().slots["local"].state == "resident"
        assert manager.statistics().providers["other"].idle == 1


class Unchoosing(Fifo):
    """Chooses no request while it has been told to hold back."""

    def choose(self) -> Choice | None:
        return None


async def test_a_slot_with_waiters_is_not_dropped(autojump_clock: MockClock) -> None:
    config = config_of(policy=Unchoosing, on_conflict="wait", local_scope="endpoint")
    async with ProviderManager(config) as manager:
        with trio.move_on_after(1) as scope:
            await manager.get_adapter(X)
        assert scope.cancelled_caught
        assert manager.statistics().providers["local"].waiting == 0


async def in_a_thread(act: Callable[[], None]) -> None:
    await trio.to_thread.run_sync(act)


async def in_another_run(act: Callable[[], None]) -> None:
    async def main() -> None:
        act()

    await trio.to_thread.run_sync(trio.run, main)


@pytest.mark.parametrize("elsewhere", [in_a_thread, in_another_run])
async def test_a_lease_can_be_released_and_drained_from_elsewhere(
    autojump_clock: MockClock, elsewhere: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    async with ProviderManager(config_of()) as manager:
        lease, other = [await manager.get_adapter(X) for _ in range(2)]
        await elsewhere(lease.release)
        await trio.lowlevel.checkpoint()
        assert (lease.released, manager.statistics().slots["local"].leases) == (True, 1)
        await elsewhere(other.drain)
        await trio.lowlevel.checkpoint()
        assert (other.released, manager.statistics().providers["local"].draining) == (False, 1)
        await elsewhere(partial(other.release, broken=True))
        await trio.testing.wait_all_tasks_blocked()
        assert manager.statistics().slots["local"].state == "vacant"
        lease = await manager.get_adapter(X)
        await elsewhere(partial(lease.release, broken=True))
        await trio.testing.wait_all_tasks_blocked()
        assert manager.statistics().slots["local"].state == "vacant"


@pytest.mark.parametrize(
    "url",
    [
        "http://me:pa/secret@h:1234",
        "http://me:secret#x@h:1234",
        "http://me#secret@h:1",
        "http://secret:x:y@",
        "secret@h",
    ],
)
def test_a_malformed_url_gives_nothing_away(url: str) -> None:
    assert "secret" not in public_url(url)


@pytest.mark.parametrize(("how", "remembered"), [("placed", 1), ("left", 0)])
def test_a_priority_that_nobody_waits_in_is_forgotten(how: str, remembered: int) -> None:
    policy = Prioritised(Affinity)
    config = config_of()
    for ticket in range(1, 500):
        request = Request(ticket, config.resolve(X), "owner", None, ticket, 0.0, 0.0)
        policy.arrived(request)
        assert policy.choose() is not None
        getattr(policy, how)(request)
    assert len(policy.snapshot(lambda t: t)[1]) == remembered  # type: ignore[index]  # a pair: the last priority, the memories


class Clumsy:
    """Fails to clean up behind its streams."""

    def __init__(self, config: AdapterConfig) -> None:
        self.events = [StreamEvent("error", ModelEvictedError("gone"))] if config.model_id == "bad" else []

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        try:
            for event in (*self.events, StreamEvent("end", "stop")):
                yield event
        finally:
            raise OSError("close failed")


async def test_a_failing_clean_up_hides_neither_the_answer_nor_the_error(autojump_clock: MockClock) -> None:
    async with ProviderManager(ProviderManagerConfig([ProviderConfig("c", Clumsy)])) as manager:
        engine = ReasoningEngine(manager)
        async with engine.call(HI, CallOptions(RuntimeProviderConfig("c", "good"))) as stream:
            assert [event.type async for event in stream] == ["end"]
        with pytest.raises(ModelEvictedError):
            async with engine.call(HI, CallOptions(RuntimeProviderConfig("c", "bad"))) as stream:
                await anext(stream)


async def test_a_call_is_entered_once(autojump_clock: MockClock) -> None:
    async with ProviderManager(config_of()) as manager:
        call = ReasoningEngine(manager).call(HI, CallOptions(X))
        async with call:
            with pytest.raises(RuntimeError) as caught:
                await call.__aenter__()
            assert str(caught.value) == "enter what call() returns once; call it again for another answer"
        assert manager.statistics().slots["local"].state == "resident"


def test_a_partial_of_an_adapter_shares_its_servers_slot() -> None:
    one = ProviderConfig("one", LMStudioAdapter, is_local=True)
    two = ProviderConfig("two", partial(LMStudioAdapter, transport=None), is_local=True)
    config = ProviderManagerConfig([one, two], local_scope="endpoint")
    pools = {config.resolve(RuntimeProviderConfig(name, "m")).pool for name in ("one", "two")}
    assert pools == {("slot", "http://localhost:1234")}


async def test_switches_count_the_same_whatever_the_scope(autojump_clock: MockClock) -> None:
    for scope in ("all", "endpoint"):
        async with ProviderManager(config_of(local_scope=scope)) as manager:
            (await manager.get_adapter(X)).release(broken=True)
            await trio.testing.wait_all_tasks_blocked()
            (await manager.get_adapter(Y)).release()
            assert manager.statistics().counters.switches == 1


@pytest.mark.parametrize("policy", [Fifo, Gated, partial(Gated, 1), partial(Affinity, 1)])
@pytest.mark.parametrize("seed", range(40))
def test_a_restored_model_goes_on_as_the_original(policy: PolicyFactory, seed: int) -> None:
    rng = random.Random(seed)
    config = config_of(policy=policy, on_conflict="wait")
    demands = [config.resolve(wish) for wish in (X, Y, RuntimeProviderConfig("local", "z"))]
    model = Coordinator(config)
    model.step(Opened(), 0.0)
    for ticket in range(1, 120):
        twin = Coordinator(config)
        restore(twin, snapshot(model))
        assert snapshot(twin) == snapshot(model)
        event = _any_event(model, ticket, rng.choice(demands), rng)
        assert twin.step(event, float(ticket)) == model.step(event, float(ticket))
        assert snapshot(twin) == snapshot(model)


def test_changes_are_effects_only_where_somebody_asked_for_them() -> None:
    config = config_of()
    event = AcquireRequested(1, config.resolve(X), "owner")
    for record in (False, True):
        coordinator = Coordinator(config, record=record)
        coordinator.step(Opened(), 0.0)
        assert any(isinstance(effect, Transition) for effect in coordinator.step(event, 0.0)) is record


def test_a_ticket_is_used_once() -> None:
    config = config_of()
    model = Coordinator(config)
    model.step(Opened(), 0.0)
    model.step(AcquireRequested(1, config.resolve(X), "owner"), 0.0)
    before = snapshot(model)
    with pytest.raises(ValueError, match="ticket 1 is in use"):
        model.step(AcquireRequested(1, config.resolve(Y), "other"), 0.0)
    assert snapshot(model) == before


def test_what_comes_too_late_changes_nothing() -> None:
    config = config_of(on_conflict="wait")
    model = Coordinator(config)
    model.step(Opened(), 0.0)
    for ticket, wanted in enumerate((X, Y), start=1):  # a start is under way, and a request waits
        model.step(AcquireRequested(ticket, config.resolve(wanted), ticket), 0.0)
    before = snapshot(model)
    late: list[Event] = [Stopped(1), Cancelled(9)]
    for gone in (2, 9):
        late += [Released(gone), Released(gone, broken=True), FoundBroken(gone)]
        late += [StartSucceeded(gone), StartFailed(gone), Stopped(gone)]
    for event in late:
        assert model.step(event, 1.0) == []
        assert snapshot(model) == before


def _any_event(model: Coordinator, ticket: int, demand: object, rng: random.Random) -> Event:
    events: list[Event] = []
    for request in model.requests.values():
        if request.state == "granted":
            events += [Released(request.ticket), Released(request.ticket, broken=True)]
        else:
            events.append(Cancelled(request.ticket))
    for instance in model.instances.values():
        if instance.state == "starting":
            events += [
                StartSucceeded(instance.id),
                StartFailed(instance.id),
                StartFailed(instance.id, constructed=False),
            ]
        elif instance.state == "stopping":
            events += [Stopped(instance.id)] * 2
    acquire = AcquireRequested(ticket, demand, f"task {ticket}", None, rng.randrange(2))  # type: ignore[arg-type]  # a Demand
    return rng.choice([*events, *[acquire] * max(2, len(events) // 2)])
