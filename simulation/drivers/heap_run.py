"""One run of the heap driver: the coordinator, what its effects lead to, and what is written down."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappush
from itertools import repeat
from operator import add, sub
from typing import Any, NoReturn

from statemachine import InvariantError, ProviderManagerConfig
from statemachine.core.events import (
    AbandonStop,
    AcquireRequested,
    Event,
    Grant,
    InterruptStart,
    Opened,
    Reject,
    Released,
    StartFailed,
    StartInstance,
    StartSucceeded,
    StopInstance,
    Stopped,
    Transition,
    Wake,
)
from statemachine.core.statistics import statistics
from statemachine.manager.manager import Core, Observer
from statemachine.manager.refusal import refusal
from statemachine.properties.invariants import watch_invariants

from .agenda import END, FIRST, ISSUE, Agenda
from .answers import Answers, Ends
from .plan import ReplayPlan
from .record import CallRecords, Replay
from .residency import ResidencyRecorder
from .routing import Routing

__all__ = ["HeapRun"]


class HeapRun(Agenda):
    """One run. ``now`` is its virtual time, in seconds; ``left``: how many calls have not ended.

    Calls are known by their ids; tickets count the calls as they are issued.
    """

    def __init__(
        self,
        plan: ReplayPlan,
        config: ProviderManagerConfig,
        observers: Sequence[Observer],
        core: Core,
        routing: Routing,
    ) -> None:
        calls = len(plan.calls)
        watch = watch_invariants(_raise) if config.check_invariants else None
        self.model = core(config, record=bool(observers), watch=watch)
        self.model.step(Opened(), 0.0)
        first = zip(plan.first_times, repeat(FIRST), repeat(0), repeat(self.issue_first), plan.first_calls)
        super().__init__(calls, self.model.timers, first, plan.faults)
        self.plan = plan
        self.timeout = config.acquire_timeout
        self.observers = observers
        self.agents, self.names = plan.agents, plan.names  # each call's
        self.demands = routing.demands(config, plan.names)
        self.unfinished = plan.unfinished.copy()  # those it still waits for
        self.issued = array("q", [-1])  # the call of each ticket; there is no ticket 0
        zeros = array("d", bytes(8 * calls))
        self.arrived, self.queued, self.loading, self.finished = zeros[:], zeros[:], zeros[:], zeros
        self.first_token = array("d", [math.nan]) * calls
        self.outcomes: dict[int, str] = {}  # of calls that did not succeed
        self.residency = ResidencyRecorder()
        self.busy: set[int] = set()  # the instances that the residency knows to be so, and is not told of again
        self.loads: Counter[str] = Counter()
        self.unloads: Counter[str] = Counter()
        self.answers = self._answers(config, routing)
        self.carry_out: dict[type, Callable[[Any], None]] = {
            Grant: self.grant,
            Reject: self.reject,
            StartInstance: self.start,
            StopInstance: self.stop,
            InterruptStart: lambda effect: None,  # the model ignores its end
            AbandonStop: lambda effect: self.residency.change(effect.instance, None, self.now),
            Transition: self.tell,
        }

    def _answers(self, config: ProviderManagerConfig, routing: Routing) -> Answers | None:
        """Return what makes answers longer than planned; None where nothing does."""
        plan, machines = self.plan, routing.shared_machines
        shared = bool(machines) or any(provider.parallel > 1 for provider in config.available_providers)
        if not shared and plan.faults is None and plan.forgetful is None:
            return None
        return Answers(
            plan,
            self,
            self.model,
            Ends(self.end, self.crash),
            shared=shared,
            machines=machines,
            busy=self.busy,
            calls=self.issued,
            first_token=self.first_token,
        )

    # ---- the model ----

    def tell_coordinator(self, event: Event) -> None:
        for effect in self.model.step(event, self.now):
            self.carry_out[effect.__class__](effect)

    def wake(self) -> None:
        self.tell_coordinator(Wake())

    def tell(self, transition: Transition) -> None:
        for observer in self.observers:
            observer(transition)

    # ---- calls ----

    def issue_first(self, call: int) -> None:
        """Issue ``call``, which comes after no other, and put the next such call on the heap."""
        heappush(self.heap, next(self.first))
        self.issue(call)

    def issue(self, call: int) -> None:
        issued, now = self.issued, self.now
        ticket = len(issued)
        issued.append(call)
        self.arrived[call] = now
        event = AcquireRequested(ticket, self.demands[call], ticket, self.agents[call], 0, self.timeout)
        # tell_coordinator(), written out, here and in end(): runs consist of these two
        for effect in self.model.step(event, now):
            self.carry_out[effect.__class__](effect)

    def grant(self, effect: Grant) -> None:
        ticket, instance, now = effect.ticket, effect.instance, self.now
        call = self.issued[ticket]
        self.queued[call], self.loading[call] = effect.queued, effect.loading
        if instance not in self.busy:
            self.busy.add(instance)
            self.residency.change(instance, "busy", now)
        if self.answers is not None:
            self.answers.begin(ticket, call, instance)
        else:
            plan = self.plan
            self.first_token[call] = now + plan.first_token[call]
            heappush(self.heap, (now + plan.whole[call], END, next(self.sequence), self.end, ticket))

    def reject(self, effect: Reject) -> None:
        call = self.issued[effect.ticket]
        self.outcomes[call] = type(refusal(effect, None)).__name__
        self.finish(call)

    def crash(self, ticket: int) -> None:
        """Lose the answer, and break its instance. Others that share it end as they would have."""
        self.outcomes[self.issued[ticket]] = "AdapterError"
        self.end(ticket, broken=True)

    def end(self, ticket: int, broken: bool = False) -> None:
        instance = self.model.requests[ticket].instance
        assert instance is not None, "a granted request has an instance"
        for effect in self.model.step(Released(ticket, broken), self.now):
            self.carry_out[effect.__class__](effect)
        if instance.state == "idle" and instance.id in self.busy:
            self.busy.remove(instance.id)
            self.residency.change(instance.id, "resident", self.now)
        self.finish(self.issued[ticket])

    def finish(self, call: int) -> None:
        self.finished[call] = self.now
        self.left -= 1
        for follower in self.plan.followers.get(call, ()):
            self.unfinished[follower] -= 1
            if self.unfinished[follower] == 0:
                self.push(self.plan.calls[follower].delay, ISSUE, self.issue, follower)

    # ---- instances ----

    def start(self, effect: StartInstance) -> None:
        instance, name = effect.instance, effect.demand.model
        self.residency.is_of(instance, name)
        self.residency.change(instance, "loading", self.now)
        self.loads[name] = nth = self.loads[name] + 1
        failing = self.faults is not None and self.faults.load_fails(name, nth)
        end = self.start_failed if failing else self.started
        self.push(self.plan.load_seconds(name, nth), END, end, instance)

    def start_failed(self, number: int) -> None:
        self.tell_coordinator(StartFailed(number))

    def started(self, number: int) -> None:
        instance = self.model.instances.get(number)
        self.tell_coordinator(StartSucceeded(number))
        if instance is not None and instance.state == "idle":
            self.residency.change(number, "resident", self.now)

    def stop(self, effect: StopInstance) -> None:
        number = effect.instance
        name = self.model.instances[number].demand.model
        self.busy.discard(number)
        self.residency.change(number, "unloading", self.now)
        self.unloads[name] = nth = self.unloads[name] + 1
        self.push(self.plan.unload_seconds(name, nth), END, self.stopped, number)

    def stopped(self, number: int) -> None:
        self.residency.change(number, None, self.now)
        self.tell_coordinator(Stopped(number))

    # ---- what came of it ----

    def result(self) -> Replay:
        """Return what is written down so far."""
        plan, arrived = self.plan, self.arrived
        ttft = array("d", map(sub, self.first_token, arrived))
        total = array("d", map(sub, self.finished, arrived))
        asked = [range(len(arrived)), self.agents, self.names, plan.prompt_tokens, plan.output_tokens]
        records = CallRecords([*asked, arrived, self.queued, self.loading, ttft, total], self.outcomes)
        makespan = max(map(add, arrived, total), default=0.0)
        return Replay(records, self.residency.intervals(makespan), statistics(self.model))


def _raise(error: InvariantError) -> NoReturn:
    raise error
