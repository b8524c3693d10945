"""Hypothesis attacks the running manager: rules that await, and tasks that live from rule to rule, in virtual time.

After every rule the world is at rest, and what can be seen from outside (adapters, agents) must agree with what the manager says of itself.
Nothing of what is asserted here is computed as the coordinator computes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, TypeVar

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from statemachine import ProviderConfig, ProviderManager, ProviderManagerConfig, RuntimeProviderConfig
from statemachine.checking.coverage import every_transition
from statemachine.core.coordinator import Coordinator, Watch
from statemachine.core.events import Transition
from statemachine.errors import InvariantError
from statemachine.policies import Affinity, Fifo, Gated
from statemachine.properties.invariants import checking, looking
from tests.core.covered import Covered
from tests.manager.controlled import PIECES, Agent, Controlled, Controls, Piece
from tests.manager.pump import Call, Pump

T = TypeVar("T")
PICK = st.integers(0, 7)  # one of those there are, counted round
WHERE = st.sampled_from(["api", "local", "local", "other"])
MODEL = st.sampled_from("aaaaabbbc")
CONFIGS = st.fixed_dictionaries(
    {
        "on_limit": st.sampled_from(["wait", "raise"]),
        "on_conflict": st.sampled_from(["wait", "wait", "raise"]),
        "policy": st.sampled_from([Fifo, Fifo, Gated, Affinity]),
        "local_scope": st.sampled_from(["all", "endpoint"]),
        "max_waiting": st.sampled_from([None, None, 1]),
        "acquire_timeout": st.sampled_from([None, 5]),
        "api_instance_idle_timeout_seconds": st.sampled_from([None, 3]),
        "start_timeout": st.sampled_from([None, 4]),
    }
)
SHUTDOWN_TIMEOUT, GRACE = 6, 3


class EndedError(Exception):
    """What the body of the manager's block raises."""


class ManagerMachine(RuleBasedStateMachine):
    """The manager in its block, agents, controlled adapters, and the pump that runs them."""

    pump: Pump | None = None
    steps = 0  # of all examples
    fired: ClassVar[Counter[Hashable]] = Counter()  # of all examples

    @initialize(options=CONFIGS, limit=st.integers(1, 2), parallel=st.integers(1, 2))
    def enter(self, options: dict[str, Any], limit: int, parallel: int) -> None:
        self.controls = Controls()
        providers = [
            ProviderConfig("api", self.controls.adapter, limit=limit),
            ProviderConfig("local", self.controls.adapter, is_local=True, parallel=parallel),
            ProviderConfig("other", self.controls.adapter, is_local=True),
        ]
        config = ProviderManagerConfig(providers, shutdown_timeout=SHUTDOWN_TIMEOUT, close_grace=GRACE, **options)
        self.limit, self.parallel = limit, parallel
        self.one_slot = config.local_scope == "all"
        self.agents: list[tuple[Agent, Call[None]]] = []
        self.waited: list[Agent] = []  # for a slot when it was last looked at, in the order in which they had asked
        self.untold = 0  # failed starts, less those that a requester was told of
        self.closing = False
        self.pump = Pump()
        self.told: list[Transition] = []
        self.complaints: list[InvariantError] = []
        self.covered = Covered()
        self.manager = ProviderManager(config, observers=[self.told.append], core=self.core)
        self.leave, self.raises = trio.Event(), False
        self.block = self.pump.start(self.live)

    def core(self, config: ProviderManagerConfig, *, record: bool, watch: Watch | None) -> Coordinator:
        """Made by the manager, and watched."""
        return Coordinator(config, record=record, watch=looking(checking(self.complaints.append), self.covered.look))

    async def live(self) -> None:
        """The manager's block."""
        async with self.manager:
            await self.leave.wait()
            if self.raises:
                raise EndedError

    # ---- what agents do ----

    def agent(self, pick: int) -> Agent:
        """A new one, or now and then one that is not busy."""
        assert self.pump is not None
        free = [agent for agent, call in self.agents if not (agent.busy or call.over)]
        if free and pick == 0:
            return free[0]
        agent = Agent(self.manager)
        self.agents.append((agent, self.pump.start(agent.live)))
        return agent

    @rule(
        pick=PICK,
        where=WHERE,
        model=MODEL,
        timeout=st.sampled_from([None, None, None, 0, 2]),
        priority=st.sampled_from([0, 0, 1]),
        times=st.integers(1, 3),
    )
    def acquire(self, pick: int, where: str, model: str, timeout: float | None, priority: int, times: int) -> None:
        for _ in range(times):
            self.agent(pick).acquire(RuntimeProviderConfig(where, model), timeout, priority)

    @rule(pick=PICK, where=WHERE, model=MODEL, most=st.sampled_from([None, None, 0, 1]))
    def stream(self, pick: int, where: str, model: str, most: int | None) -> None:
        self.agent(pick).stream(RuntimeProviderConfig(where, model), most)

    @precondition(lambda self: self.holders())
    @rule(pick=PICK, how=st.sampled_from(["once", "once", "twice", "broken", "broken", "drain"]))
    def end_a_lease(self, pick: int, how: str) -> None:
        """Of an agent that does nothing else; one in mid-stream ends by its stream."""
        lease = one(self.holders(), pick).held[-1]
        if how in ("broken", "drain"):
            adapter = lease.adapter
            assert isinstance(adapter, Controlled)
            adapter.broken = True
        if how == "drain":
            lease.drain()
        else:
            lease.release(broken=how == "broken")
        if how == "twice":
            lease.release(broken=True)

    @precondition(lambda self: self.living())
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        one(self.living(), pick)[1].scope.cancel()

    def holders(self) -> list[Agent]:
        return [agent for agent, _ in self.agents if agent.held and not agent.busy]

    def living(self) -> list[tuple[Agent, Call[None]]]:
        return [(agent, call) for agent, call in self.agents if not call.over]

    # ---- what adapters do ----

    @precondition(lambda self: self.controls.those("starting"))
    @rule(pick=PICK, fails=st.sampled_from([False, False, True]))
    def a_start_ends(self, pick: int, fails: bool) -> None:
        one(self.controls.those("starting"), pick).end_phase(fails=fails)

    @precondition(lambda self: self.controls.those("stopping"))
    @rule(pick=PICK, fails=st.sampled_from([False, False, True]))
    def a_shutdown_ends(self, pick: int, fails: bool) -> None:
        one(self.controls.those("stopping"), pick).end_phase(fails=fails)

    @precondition(lambda self: self.controls.answering())
    @rule(pick=PICK, piece=st.sampled_from(PIECES))
    def an_answer_goes_on(self, pick: int, piece: Piece) -> None:
        one(self.controls.answering(), pick).give(piece)

    # ---- what else happens ----

    @rule(seconds=st.sampled_from([1, 2, 5]))
    def time_passes(self, seconds: float) -> None:
        assert self.pump is not None
        self.pump.advance(seconds)

    @precondition(lambda self: len(self.agents) > 3 and not self.closing)
    @rule(how=st.sampled_from(["leave", "raise", "cancel"]))
    def close(self, how: str) -> None:
        self.closing = True
        self.raises = how == "raise"
        if how == "cancel":
            self.block.scope.cancel()
        else:
            self.leave.set()

    # ---- what must hold, at rest ----

    @invariant()
    def it_is_as_it_should_be(self) -> None:
        if self.pump is None:
            return
        ManagerMachine.steps += 1
        self.pump.settle()
        assert self.complaints == []
        self._counts_agree()
        self._nobody_was_overtaken()
        self._failures_are_told_once()
        for adapter in self.controls.adapters:
            assert adapter.shutdowns <= 1
            assert self.closing or not adapter.shut_down_while_called
        held: dict[Controlled, int] = {}
        for agent, _ in self.agents:
            for lease in agent.held:
                leased = lease.adapter
                assert isinstance(leased, Controlled)
                assert leased.phase == "up", f"leased while {leased.phase}"
                held[leased] = held.get(leased, 0) + 1
        for adapter, leases in held.items():
            assert leases <= (self.parallel if adapter.config.provider_name == "local" else 1)

    def _counts_agree(self) -> None:
        providers, config = self.manager.statistics().providers, self.manager.config
        assert sum(p.waiting + p.assigned for p in providers.values()) == sum(agent.waits for agent, _ in self.agents)
        assert config.on_limit == "wait" or providers["api"].waiting == 0
        assert config.on_conflict == "wait" or providers["local"].waiting == providers["other"].waiting == 0
        for name in ("api", "local", "other"):
            up = [a for a in self.controls.adapters if a.config.provider_name == name and is_live(a)]
            assert providers[name].live == len(up)
            assert len(up) <= (self.limit if name == "api" else 1)
        local = [a for a in self.controls.adapters if a.config.provider_name != "api" and is_live(a)]
        assert len(local) <= (1 if self.one_slot else 2)

    def _nobody_was_overtaken(self) -> None:
        """At a slot, first come, first served: who got a lease since the last time had asked before all who still wait, or has a higher
        priority."""
        if self.manager.config.policy is not Fifo:
            return
        served = {agent for agent in self.waited if agent.served}
        for place, agent in enumerate(self.waited):
            if agent.waits:
                overtakers = [
                    later for later in self.waited[place + 1 :] if later in served and self._same_slot(agent, later)
                ]
                assert all(later.priority > agent.priority for later in overtakers)
        still = [agent for agent in self.waited if agent.waits]
        new = [agent for agent, _ in self.agents if agent.waits and agent.slot and agent not in still]
        self.waited = still + new

    def _failures_are_told_once(self) -> None:
        """At most: who caused the start may have gone."""
        untold = self.controls.failed_starts - sum(agent.failed_starts for agent, _ in self.agents)
        assert untold >= self.untold
        self.untold = untold

    def _same_slot(self, a: Agent, b: Agent) -> bool:
        return self.one_slot or a.slot == b.slot

    # ---- the end ----

    def teardown(self) -> None:
        """When all agents do their part, all that wait are served, the manager closes, and nothing is left."""
        if self.pump is None:
            return
        try:
            self._everything_ends()
        finally:
            self.controls.set_free()
            self.leave.set()
            self.pump.end()

    def _everything_ends(self) -> None:
        assert self.pump is not None
        self.controls.set_free()
        self.pump.settle()
        for _ in self.agents:
            for agent, _call in self.agents:
                for lease in agent.held:
                    lease.release()
            self.pump.settle()
        assert not any(agent.busy for agent, _ in self.agents), "a task never ends"
        for _, call in self.agents:
            call.scope.cancel()
        self.leave.set()
        self.pump.advance(GRACE + SHUTDOWN_TIMEOUT)
        assert self.block.over
        assert self.complaints == []
        assert [a.config.model_id for a in self.controls.adapters if a.shutdowns != 1] == []
        assert sum(self.covered.fired[one] for one in every_transition()) == len(self.told)
        ManagerMachine.fired.update(self.covered.fired)
        self.covered.aim()


def is_live(adapter: Controlled) -> bool:
    """Whether it takes a place: from its construction until its shutdown has ended or was given up on."""
    return adapter.phase not in ("down", "stop failed", "given up")


def one(candidates: Sequence[T], pick: int) -> T:
    return candidates[pick % len(candidates)]


TestManagerMachine = ManagerMachine.TestCase
TestManagerMachine.settings = settings()
