"""The heap driver: the manager's model, run from a heap of events in virtual time, because comparing policies takes thousands of runs.

No trio, no HTTP: the model says what to do, a :class:`Timing` says how long it takes, and the end of it is put on the heap.

The heap is ordered by (time, priority, sequence), a total order. At one moment calls are issued first, then loads, unloads and answers
end, then answers begin; within a priority the event that was put there first comes first, and a workload's first calls are put there in
the order of their ids. So it is in a replay through the manager too, because a task that wakes issues its call at once, while the end of
an answer has several hands to go through. Its equals are shuffled by trio, though: which of two calls of the same moment comes first is
for each driver to say, and so is which of two answers that one instance makes side by side and ends at the same moment.

An adapter's own time-outs are not there: an answer of any length succeeds.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from operator import add, attrgetter, sub
from typing import Any, Final, NoReturn, TypeAlias

from statemachine import AdapterConfig, InvariantError, ProviderConfig, ProviderManagerConfig
from statemachine.core.coordinator import Coordinator
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
from statemachine.core.index import Instance
from statemachine.core.statistics import statistics
from statemachine.manager.manager import Core, Observer
from statemachine.manager.refusal import refusal
from statemachine.policies import Fifo, PolicyFactory
from statemachine.properties.invariants import watch_invariants

from ..timing.durations import AnswerTimes, ForgetfulTiming, Timing
from ..timing.faults import FaultPlan
from ..workloads.workload import Workload
from .record import CallRecords, Replay
from .residency import ResidencyRecorder
from .routing import Routing

__all__ = ["HeapDriver", "HeapRun", "no_adapter", "one_slot"]

FIRST: Final = -1
ISSUE: Final = 0
END: Final = 1
BEGIN: Final = 2

_REMEMBERED: Final = 2**16  # loads and unloads whose durations are kept for the next run

_Entry: TypeAlias = tuple[float, int, int, Callable[[int], None] | None, int]
"""Time, priority, sequence, and what to do with which call, ticket or instance. None: what most entries of the priority are for, an end of
an answer or a first call."""


def one_slot(policy: PolicyFactory = Fifo, *, parallel: int = 1) -> ProviderManagerConfig:
    """The configuration of one local server, where requests wait under ``policy``. Its adapter is not there to be called."""
    return ProviderManagerConfig(
        [ProviderConfig("local server", no_adapter, is_local=True, parallel=parallel)],
        on_conflict="wait",
        policy=policy,
    )


def no_adapter(config: AdapterConfig) -> NoReturn:
    raise NotImplementedError("the heap driver makes no adapters")


class HeapDriver:
    """Runs ``workload`` any number of times, each call as long as ``timing`` says. Raises ConfigurationError.

    What does not depend on the policy is worked out once, for all runs.
    """

    def __init__(self, workload: Workload, timing: Timing, *, faults: FaultPlan | None = None) -> None:
        self.calls: Final = workload.calls
        self.models: Final = workload.models
        self.timing: Final = timing
        self.faults: Final = faults
        self.forgetful: Final = timing if isinstance(timing, ForgetfulTiming) else None
        self.agents: Final = [call.agent for call in workload.calls]
        self.names: Final = [call.model for call in workload.calls]
        self.prompt_tokens: Final = array("q", (call.prompt_tokens for call in workload.calls))
        self.output_tokens: Final = array("q", (call.output_tokens for call in workload.calls))
        self.first_token: Final = array("d")  # seconds, of a call that shares its instance with no other
        self.whole: Final = array("d")
        self.followers: Final[dict[int, list[int]]] = {}
        self.unfinished: Final[dict[int, int]] = {}  # of each call that comes after others: how many these are
        for call in workload.calls:
            first, whole = _alone(timing.answer(call))
            self.first_token.append(first)
            self.whole.append(whole)
            for earlier in call.after:
                self.followers.setdefault(earlier, []).append(call.id)
            if call.after:
                self.unfinished[call.id] = len(call.after)
        first_calls = [call for call in workload.calls if not call.after]
        first_calls.sort(key=attrgetter("delay"))  # of the same moment: in the order of their ids
        self.first_calls: Final = array("q", map(attrgetter("id"), first_calls))
        self.load_seconds: Final = lru_cache(_REMEMBERED)(timing.load_seconds)  # drawing jitter is slow
        self.unload_seconds: Final = lru_cache(_REMEMBERED)(timing.unload_seconds)

    def replay(
        self,
        config: ProviderManagerConfig,
        *,
        observers: Sequence[Observer] = (),
        core: Core = Coordinator,
        routing: Routing | None = None,
    ) -> Replay:
        """Make every call on the first provider of ``config``, or where ``routing`` says. Adapters are not used.

        A call that is refused is recorded as such, and those after it are made. A start or a
        shutdown that the model gives up on is over at that moment. Raises RuntimeError where calls are left and nothing can happen
        any more: then the policy is at fault. With ``check_invariants`` raises InvariantError. ``core`` makes the coordinator.
        """
        run = self.begin(config, observers=observers, core=core, routing=routing)
        run.run()
        return run.result()

    def begin(
        self,
        config: ProviderManagerConfig,
        *,
        observers: Sequence[Observer] = (),
        core: Core = Coordinator,
        routing: Routing | None = None,
    ) -> HeapRun:
        """As :meth:`replay`, but nothing has happened yet: for a run that is looked at on its way, by ``step()`` and ``run(until=)``."""
        return HeapRun(self, config, observers, core, routing or Routing.on_one(config, len(self.calls)))


def _raise(error: InvariantError) -> NoReturn:
    raise error


def _alone(answer: AnswerTimes) -> tuple[float, float]:
    """Seconds to the first token and to the end, for a request that shares its instance with no other."""
    return answer.prefill + answer.pieces[0], answer.prefill + math.fsum(answer.pieces)


class HeapRun:
    """One run: the coordinator, the heap, and what is written down. ``now`` is its virtual time, in seconds.

    Calls are known by their ids; tickets count the calls as they are issued.
    """

    def __init__(
        self,
        plan: HeapDriver,
        config: ProviderManagerConfig,
        observers: Sequence[Observer],
        core: Core,
        routing: Routing,
    ) -> None:
        calls = len(plan.calls)
        self.plan = plan
        self.timeout = config.acquire_timeout
        self.machines = routing.shared_machines  # of each provider that shares its machine with another
        self.shared = bool(self.machines) or any(provider.parallel > 1 for provider in config.available_providers)
        self.agents, self.names = plan.agents, plan.names  # each call's
        self.alone_first, self.alone_whole = plan.first_token, plan.whole
        self.faults, self.forgetful = plan.faults, plan.forgetful
        self.alone = not self.shared and self.faults is None and self.forgetful is None  # each answer is as planned
        self.homes: dict[str, int] = {}  # of each agent: the instance whose prompt cache has its last prompt
        self.demands = routing.demands(config, self.names)
        self.observers = observers
        watch = watch_invariants(_raise) if config.check_invariants else None
        self.model = core(config, record=bool(observers), watch=watch)
        self.model.step(Opened(), 0.0)
        self.now = 0.0
        self.heap: list[_Entry] = []
        self.first_calls = iter(plan.first_calls)
        self.sequence = count()
        self.left = calls
        self.unfinished = plan.unfinished.copy()  # those it still waits for
        self.issued = array("q", [-1])  # the call of each ticket; there is no ticket 0
        zeros = array("d", bytes(8 * calls))
        self.arrived, self.queued, self.loading, self.finished = zeros[:], zeros[:], zeros[:], zeros
        self.first_token = array("d", [math.nan]) * calls
        self.outcomes: dict[int, str] = {}  # of calls that did not succeed
        self.answers: dict[int, AnswerTimes] = {}  # of calls at work in a shared instance
        self.pieces: dict[int, Iterator[float]] = {}  # of these: those not begun
        self.residency = ResidencyRecorder()
        self.busy: set[int] = set()  # the instances that the residency knows to be so, and is not told of again
        self.loads: Counter[str] = Counter()
        self.unloads: Counter[str] = Counter()
        self.carry_out: dict[type, Callable[[Any], None]] = {
            Grant: self.grant,
            Reject: self.reject,
            StartInstance: self.start,
            StopInstance: self.stop,
            InterruptStart: lambda effect: None,  # the model ignores its end
            AbandonStop: lambda effect: self.residency.leave(effect.instance, self.now),
            Transition: self.tell,
        }
        self.push_first_call()

    # ---- the loop ----

    def step(self) -> None:
        """Let the next thing happen. Does nothing when every call has ended. Raises RuntimeError as :meth:`run` does."""
        self.run(steps=1)

    def run(self, until: float = math.inf, *, steps: int = -1) -> None:
        """Let happen what is due up to the time ``until``, or until every call has ended; at most ``steps`` things (-1: no bound).

        At one moment a first call comes before everything else, and a deadline after it. Raises RuntimeError where calls are left
        and nothing can happen any more.
        """
        heap, timers = self.heap, self.model.timers
        while self.left and steps:
            due = timers.next_deadline
            if heap and heap[0][0] <= due:
                if heap[0][0] > until:
                    break
                self.now, priority, _, act, what = heappop(heap)
                if act is not None:
                    act(what)
                elif priority == END:
                    self.end(what)
                else:
                    self.issue_first(what)
            elif due < math.inf:
                if due > until:
                    break
                self.now = due
                self.tell_coordinator(Wake())
            else:
                raise RuntimeError(f"nothing can happen any more, and {self.left} calls are left")
            steps -= 1
        else:
            return
        self.now = max(self.now, until)

    def tell_coordinator(self, event: Event) -> None:
        for effect in self.model.step(event, self.now):
            self.carry_out[type(effect)](effect)

    def push(self, seconds: float, priority: int, act: Callable[[int], None], what: int) -> None:
        if self.faults is not None and priority == END:
            seconds = self.lasting(seconds)
        heappush(self.heap, (self.now + seconds, priority, next(self.sequence), act, what))

    def lasting(self, seconds: float) -> float:
        """How long what takes ``seconds`` takes from now on, outages included."""
        return seconds if self.faults is None else self.faults.lasting(self.now, seconds)

    # ---- calls ----

    def issue_first(self, call: int) -> None:
        """Issue ``call``, which comes after no other, and put the next such call on the heap."""
        self.push_first_call()
        self.issue(call)

    def push_first_call(self) -> None:
        call = next(self.first_calls, None)
        if call is not None:
            heappush(self.heap, (self.plan.calls[call].delay, FIRST, 0, None, call))

    def issue(self, call: int) -> None:
        issued, now = self.issued, self.now
        ticket = len(issued)
        issued.append(call)
        self.arrived[call] = now
        event = AcquireRequested(ticket, self.demands[call], ticket, self.agents[call], 0, self.timeout)
        for effect in self.model.step(
            event, now
        ):  # tell_coordinator(), written out, here and in end(): runs consist of these two
            self.carry_out[type(effect)](effect)

    def grant(self, effect: Grant) -> None:
        ticket, now = effect.ticket, self.now
        call = self.issued[ticket]
        self.queued[call], self.loading[call] = effect.queued, effect.loading
        if effect.instance not in self.busy:
            self.busy.add(effect.instance)
            self.residency.enter(effect.instance, self.names[call], "busy", now)
        if self.alone:
            self.first_token[call] = now + self.alone_first[call]
            heappush(self.heap, (now + self.alone_whole[call], END, next(self.sequence), None, ticket))
        else:
            self.begin_answer(ticket, call, effect.instance)

    def begin_answer(self, ticket: int, call: int, instance: int) -> None:
        """Begin an answer that others, faults or a lost prompt cache may make longer than it is alone and warm."""
        answer = self.answer(call, instance)
        faults = self.faults
        crash = None if faults is None else faults.crash_at(call)
        if faults is not None and (stall := faults.stall_of(call)):
            answer = AnswerTimes(answer.prefill + stall, answer.pieces)
        if crash is not None:
            self.push(crash * _alone(answer)[1], END, self.crash, ticket)
        elif self.shared:
            self.answers[call], self.pieces[call] = answer, iter(answer.pieces)
            self.push(0.0, BEGIN, self.begin, ticket)
        else:
            first, whole = _alone(answer)
            self.first_token[call] = self.now + self.lasting(first)
            self.push(whole, END, self.end, ticket)

    def answer(self, call: int, instance: int) -> AnswerTimes:
        """What ``call`` takes here: its cached tokens are found in the instance that its agent's last prompt went to."""
        planned = self.plan.calls[call]
        if self.forgetful is None:
            return self.plan.timing.answer(planned)
        warm = self.homes.get(planned.agent) == instance
        self.homes[planned.agent] = instance
        return self.forgetful.answer(planned) if warm else self.forgetful.cold_answer(planned)

    def crash(self, ticket: int) -> None:
        """The answer is lost and its instance is broken. Others that share it end as they would have."""
        self.outcomes[self.issued[ticket]] = "AdapterError"
        self.end(ticket, broken=True)

    def reject(self, effect: Reject) -> None:
        call = self.issued[effect.ticket]
        self.outcomes[call] = type(refusal(effect, None)).__name__
        self.finish(call)

    def end(self, ticket: int, *, broken: bool = False) -> None:
        instance = self.model.requests[ticket].instance
        assert instance is not None, "a granted request has an instance"
        now, carry_out = self.now, self.carry_out
        for effect in self.model.step(Released(ticket, broken), now):
            carry_out[type(effect)](effect)
        if instance.state == "idle" and instance.id in self.busy:
            self.busy.remove(instance.id)
            self.residency.enter(instance.id, instance.demand.model, "resident", now)
        self.finish(self.issued[ticket])

    def finish(self, call: int) -> None:
        self.finished[call] = self.now
        self.left -= 1
        for follower in self.plan.followers.get(call, ()):
            self.unfinished[follower] -= 1
            if self.unfinished[follower] == 0:
                self.push(self.plan.calls[follower].delay, ISSUE, self.issue, follower)

    # ---- calls that share an instance: piece by piece, because others come and go ----

    def begin(self, ticket: int) -> None:
        prefill = self.answers.pop(self.issued[ticket]).prefill
        self.push(prefill * self.slowdown(ticket, reading=True), END, self.first_piece, ticket)

    def first_piece(self, ticket: int) -> None:
        piece = next(self.pieces[self.issued[ticket]])
        self.push(piece * self.slowdown(ticket), END, self.first_token_is_there, ticket)

    def first_token_is_there(self, ticket: int) -> None:
        self.first_token[self.issued[ticket]] = self.now
        self.next_piece(ticket)

    def next_piece(self, ticket: int) -> None:
        piece = next(self.pieces[self.issued[ticket]], None)
        if piece is None:
            del self.pieces[self.issued[ticket]]
            self.end(ticket)
        else:
            self.push(piece * self.slowdown(ticket), END, self.next_piece, ticket)

    def slowdown(self, ticket: int, *, reading: bool = False) -> float:
        instance = self.instance(ticket)
        return self.plan.timing.slowdown(len(instance.leases), self.at_work_beside(instance), reading=reading)

    def at_work_beside(self, instance: Instance) -> int:
        """How many instances answer on the machine of ``instance``, itself included."""
        if not self.machines:
            return 1
        machine, instances = self.machines.get(instance.demand.provider), self.model.instances
        return sum(self.machines.get(instances[number].demand.provider) == machine for number in self.busy)

    # ---- instances ----

    def instance(self, ticket: int) -> Instance:
        instance = self.model.requests[ticket].instance
        assert instance is not None, "a granted request has an instance"
        return instance

    def start(self, effect: StartInstance) -> None:
        name = effect.demand.model
        self.residency.enter(effect.instance, name, "loading", self.now)
        self.loads[name] += 1
        failing = self.faults is not None and self.faults.load_fails(name, self.loads[name])
        end = self.start_failed if failing else self.started
        self.push(self.plan.load_seconds(name, self.loads[name]), END, end, effect.instance)

    def start_failed(self, number: int) -> None:
        self.tell_coordinator(StartFailed(number))

    def started(self, number: int) -> None:
        instance = self.model.instances.get(number)
        self.tell_coordinator(StartSucceeded(number))
        if instance is not None and instance.state == "idle":
            self.residency.enter(number, instance.demand.model, "resident", self.now)

    def stop(self, effect: StopInstance) -> None:
        name = self.model.instances[effect.instance].demand.model
        self.busy.discard(effect.instance)
        self.residency.enter(effect.instance, name, "unloading", self.now)
        self.unloads[name] += 1
        self.push(self.plan.unload_seconds(name, self.unloads[name]), END, self.stopped, effect.instance)

    def stopped(self, instance: int) -> None:
        self.residency.leave(instance, self.now)
        self.tell_coordinator(Stopped(instance))

    # ---- what is told ----

    def tell(self, transition: Transition) -> None:
        for observer in self.observers:
            observer(transition)

    def result(self) -> Replay:
        plan, arrived = self.plan, self.arrived
        ttft = array("d", map(sub, self.first_token, arrived))
        total = array("d", map(sub, self.finished, arrived))
        asked = [range(len(arrived)), self.agents, self.names, plan.prompt_tokens, plan.output_tokens]
        records = CallRecords([*asked, arrived, self.queued, self.loading, ttft, total], self.outcomes)
        makespan = max(map(add, arrived, total), default=0.0)
        return Replay(records, self.residency.intervals(makespan), statistics(self.model))
