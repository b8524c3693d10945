"""The agent workflow on the real manager and engine, with adapters that need no server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from adapters import FakeAdapter
from statemachine import (
    AdapterConfig,
    CallOptions,
    ManagerClosedError,
    Message,
    ProviderConfig,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    StreamEvent,
)
from statemachine.errors import AdapterConnectError, ConfigurationError
from statemachine.threads.agent import AgentCore, AgentFactory, InstanceConfig, create_instance
from statemachine.threads.state import StateManager

KEY = "runtime_provider_config"


class Calls:
    """Makes FakeAdapters, and remembers how they were called: the model, the prompt and the options of each call."""

    def __init__(self) -> None:
        self.models: list[str] = []
        self.prompts: list[Sequence[Message]] = []
        self.options: list[CallOptions] = []

    def adapter(self, config: AdapterConfig) -> FakeAdapter:
        calls = self

        class Recorded(FakeAdapter):
            def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
                calls.models.append(config.model_id)
                calls.prompts.append(prompt)
                calls.options.append(options)
                return super().call(prompt, options)

        return Recorded(config)

    def instance(self, state: StateManager | None = None) -> InstanceConfig:
        """A local provider whose slot makes others wait, and an API provider of two places."""
        providers = [ProviderConfig("local", self.adapter, is_local=True), ProviderConfig("api", self.adapter, limit=2)]
        return InstanceConfig(ProviderManagerConfig(providers, on_conflict="wait"), state)


@pytest.fixture
def calls() -> Calls:
    return Calls()


def local(model: str, **options: Any) -> RuntimeProviderConfig:
    return RuntimeProviderConfig("local", model, options)


async def run(agent: AgentCore, thread: str = "t", query: str = "how so") -> list[StreamEvent]:
    async with agent.process(query, thread) as answer:
        return [event async for event in answer]


def leases(instance: AgentFactory) -> int:
    """Leases that are held now."""
    providers = instance.manager.statistics().providers.values()
    return sum(provider.active + provider.draining for provider in providers)


async def test_plan_execute_synthesise(calls: Calls) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m", tokens=["one ", "two"]))
        events = await run(instance.agent("ann"))
    assert events == [
        StreamEvent("metadata", {"phase": "plan", "text": "one two"}),
        StreamEvent("metadata", {"phase": "execute", "text": "one two"}),
        StreamEvent("token", "one "),
        StreamEvent("token", "two"),
        StreamEvent("metadata", {"usage": {"completion_tokens": 2}}),
        StreamEvent("end", "stop"),
    ]
    assert [prompt[-1] for prompt in calls.prompts] == [{"role": "user", "content": "how so"}] * 3
    told = [prompt[0]["content"] for prompt in calls.prompts]
    assert [text.count("one two") for text in told] == [0, 1, 2]  # the plan; the plan and the results


async def test_braces_in_an_answer_are_text(calls: Calls) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m", tokens=["{results} {0} {"]))
        await run(instance.agent("ann"))
    assert calls.prompts[2][0]["content"].count("{results} {0} {") == 2


async def test_calls_carry_what_the_agent_was_given(calls: Calls) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m"))
        await run(instance.agent("ann", parameters={"temperature": 0}, priority=2, timeout=60))
    assert len(calls.options) == 3
    for options in calls.options:
        assert (options.agent, options.thread_id, options.priority, options.timeout) == ("ann", "t", 2, 60)
        assert options.parameters == {"temperature": 0}
        assert options.stream


async def test_the_answer_arrives_as_it_is_made(calls: Calls, autojump_clock: MockClock) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m", tokens=3, token_seconds=10))
        begun = trio.current_time()
        async with instance.agent("ann").process("how", "t") as answer:
            times = [trio.current_time() - begun async for event in answer if event.type == "token"]
    assert times == pytest.approx([70, 80, 90])  # plan and execution took 30 s each


async def test_the_provider_changes_between_two_runs(calls: Calls) -> None:
    async with create_instance(calls.instance()) as instance:
        agent = instance.agent("ann")
        for config in (local("m1"), RuntimeProviderConfig("api", "m2"), local("m1")):
            await instance.state.set_thread_config_value("t", KEY, config)
            await run(agent)
        assert instance.manager.statistics().counters.switches == 0  # m1 stayed loaded
    assert calls.models == ["m1"] * 3 + ["m2"] * 3 + ["m1"] * 3


async def test_the_provider_changes_in_mid_run(calls: Calls, autojump_clock: MockClock) -> None:
    """Set during the plan, it holds from the execution on; set during the execution, from the synthesis on."""
    async with create_instance(calls.instance()) as instance, trio.open_nursery() as nursery:
        setting = instance.state.set_thread_config_value
        await setting("t", KEY, local("m1", tokens=["plan"], token_seconds=10))

        async def change() -> None:
            await trio.sleep(5)
            await setting("t", KEY, RuntimeProviderConfig("api", "m2", {"tokens": ["results"], "token_seconds": 10}))
            await trio.sleep(10)
            await setting("t", KEY, local("m3", tokens=["answer"]))

        nursery.start_soon(change)
        events = await run(instance.agent("ann"))
    assert calls.models == ["m1", "m2", "m3"]
    assert [event.data for event in events if event.type == "token"] == ["answer"]
    assert events[0].data == {"phase": "plan", "text": "plan"}
    assert events[1].data == {"phase": "execute", "text": "results"}


async def test_no_lease_is_held_between_phases(calls: Calls, autojump_clock: MockClock) -> None:
    """Two agents with different models on one slot: they alternate by phase, so neither waits for the other's whole run."""
    async with create_instance(calls.instance()) as instance, trio.open_nursery() as nursery:
        for name in ("m1", "m2"):
            await instance.state.set_thread_config_value(name, KEY, local(name, tokens=2, token_seconds=1))
            nursery.start_soon(run, instance.agent(name), name)
    assert calls.models in (["m1", "m2"] * 3, ["m2", "m1"] * 3)


@pytest.mark.parametrize("events", [0, 1, 3])
async def test_leaving_early_frees_the_lease(calls: Calls, events: int) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m", tokens=100))
        async with instance.agent("ann").process("how", "t") as answer:
            assert leases(instance) == 1
            for _ in range(events):
                await anext(answer)
        assert leases(instance) == 0
        assert len(await run(instance.agent("bob"))) == 104  # and the slot is usable


async def test_the_end_of_the_stream_frees_the_lease(calls: Calls) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m"))
        async with instance.agent("ann").process("how", "t") as answer:
            async for _ in answer:
                pass
            assert leases(instance) == 0


async def test_an_error_in_the_block_leaves_bare_and_frees_the_lease(calls: Calls) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m"))
        with pytest.raises(KeyError, match="mine"):
            async with instance.agent("ann").process("how", "t"):
                raise KeyError("mine")
        assert leases(instance) == 0


@pytest.mark.parametrize("seconds", [5, 15, 25], ids=["plan", "execute", "synthesise"])
async def test_cancelled_in_any_phase_the_lease_is_freed(
    calls: Calls, autojump_clock: MockClock, seconds: float
) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m", tokens=1, token_seconds=10))
        with trio.move_on_after(seconds) as scope:
            await run(instance.agent("ann"))
        assert scope.cancelled_caught
        assert len(calls.models) == 1 + seconds // 10
        assert leases(instance) == 0
        await run(instance.agent("bob"))


async def test_a_consumer_may_use_scopes_of_its_own(calls: Calls, autojump_clock: MockClock) -> None:
    async with create_instance(calls.instance()) as instance:
        await instance.state.set_thread_config_value("t", KEY, local("m", tokens=3, token_seconds=1))
        async with instance.agent("ann").process("how", "t") as answer, trio.open_nursery() as nursery:
            kinds = []
            async for event in answer:
                with trio.fail_after(1):
                    nursery.start_soon(trio.sleep, 0.5)
                    await trio.sleep(0.1)
                kinds.append(event.type)
    assert kinds == ["metadata"] * 2 + ["token"] * 3 + ["metadata", "end"]


@pytest.mark.parametrize("phase", [1, 2, 3])
async def test_an_adapters_error_reaches_the_consumer(calls: Calls, autojump_clock: MockClock, phase: int) -> None:
    async with create_instance(calls.instance()) as instance, trio.open_nursery() as nursery:
        setting = instance.state.set_thread_config_value
        failing = {"fail_after": 0} if phase == 1 else {}
        await setting("t", KEY, local("m", tokens=1, token_seconds=10, **failing))

        async def change() -> None:
            await trio.sleep(10 * phase - 15)
            await setting("t", KEY, local("m", tokens=1, token_seconds=10, fail_after=0))

        if phase > 1:
            nursery.start_soon(change)
        with pytest.raises(AdapterConnectError):
            await run(instance.agent("ann"))
        assert len(calls.models) == phase
        assert leases(instance) == 0


async def test_a_thread_without_provider_is_refused(calls: Calls) -> None:
    async with create_instance(calls.instance()) as instance:
        with pytest.raises(ConfigurationError, match="'t'"):
            await run(instance.agent("ann"))
        with pytest.raises(ConfigurationError, match="thread_id: must not be empty"):
            await run(instance.agent("ann"), thread="")
        with pytest.raises(ConfigurationError, match="query: must not be empty"):
            await run(instance.agent("ann"), query="")
        with pytest.raises(ConfigurationError, match="name: must not be empty"):
            instance.agent("")
    assert calls.models == []


async def test_a_thread_kept_in_a_file_works_again_with_its_secret(calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "threads.db"
    config = RuntimeProviderConfig("api", "m", {"api_token": "sk-1"})
    async with create_instance(calls.instance(StateManager(file))) as instance:
        await instance.state.set_thread_config_value("t", KEY, config)
        with pytest.raises(ConfigurationError, match=r"adapter_options\.api_token"):
            await run(instance.agent("ann"))
    async with create_instance(calls.instance(StateManager(file, secrets=lambda ref: "sk-1"))) as instance:
        await run(instance.agent("ann"))
    assert calls.models == ["m"] * 3


async def test_an_instance_wires_what_it_is_given_and_closes(calls: Calls) -> None:
    state = StateManager()
    await state.set_thread_config_value("t", KEY, local("m"))
    async with create_instance(calls.instance(state)) as instance:
        assert instance.state is state
        assert instance.manager.available_providers == ("local", "api")
        async with instance.engine.call([{"role": "user", "content": "hi"}], CallOptions(thread_id="t")) as stream:
            assert [event.data async for event in stream if event.type == "token"] == ["hi"]
    with pytest.raises(ManagerClosedError):
        await run(instance.agent("ann"))


async def test_an_error_in_the_instances_block_leaves_bare(calls: Calls) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with create_instance(calls.instance()):
            raise KeyError("mine")


async def test_instances_of_one_config_have_a_state_each(calls: Calls) -> None:
    config = calls.instance()
    async with create_instance(config) as one, create_instance(config) as other:
        await one.state.set_thread_config_value("t", "n", 1)
        assert (await other.state.load_thread_context("t")).config == {}


async def test_a_bad_instance_config_is_refused(calls: Calls) -> None:
    providers: Any = calls.instance().providers
    with pytest.raises(ConfigurationError, match="config: must be an InstanceConfig"):
        async with create_instance(providers):
            raise AssertionError("entered")
    with pytest.raises(ConfigurationError, match="providers: must be a ProviderManagerConfig"):
        InstanceConfig({})  # type: ignore[arg-type]  # this is the point
    with pytest.raises(ConfigurationError, match="state: must be a StateManager or None"):
        InstanceConfig(providers, "threads.db")  # type: ignore[arg-type]  # this is the point
