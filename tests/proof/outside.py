"""What can be seen of a manager from outside, held against what its coordinator believes: after any step of any task the two must agree.

From outside are seen: adapters that were constructed, have started, are being shut down or are down; leases that tasks hold; tasks that
wait inside of ``get_adapter``; and the errors that it raised.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Awaitable, Hashable
from typing import Any

import trio

from statemachine.checking.canonical import named
from statemachine.config.providers import ProviderManagerConfig
from statemachine.core.coordinator import Coordinator, Watch
from statemachine.core.index import Instance, Request
from statemachine.errors import AdapterInstantiationError, ContentionError, InvariantError, ManagerClosedError
from statemachine.manager.lease import Lease
from statemachine.manager.manager import ProviderManager
from statemachine.properties.invariants import watch_invariants
from statemachine.schedules import is_ready

from .expect import expect
from .recorder import Recorded, Recorder
from .subject import Subject

__all__ = ["Outside"]

_ASKING = ("waiting", "assigned")


class Outside:
    """Compares the manager that :meth:`manage` makes, whose adapters ``recorder`` records, with its coordinator."""

    manager: ProviderManager
    coordinator: Coordinator

    def __init__(self, recorder: Recorder, subject: Subject) -> None:
        self.recorder = recorder
        self.refused: Counter[type[Exception]] = Counter()
        self.cancelled = 0
        self.complaints: list[InvariantError] = []
        self._subject = subject
        self._asking: set[trio.lowlevel.Task] = set()
        self._leases: weakref.WeakSet[Lease] = weakref.WeakSet()

    def manage(self, config: ProviderManagerConfig) -> ProviderManager:
        """Make the manager under test. Its coordinator is watched, and its ``get_adapter`` witnessed."""
        outside, kind = self, self._subject.manager

        class Witnessed(kind):  # type: ignore[valid-type, misc]  # a subclass of the class that the subject names
            async def get_adapter(self, *arguments: Any, **named: Any) -> Lease:
                return await outside._witness(super().get_adapter(*arguments, **named))

        self.manager = Witnessed(config, core=self._core)
        return self.manager

    def _core(self, config: ProviderManagerConfig, *, record: bool, watch: Watch | None) -> Coordinator:
        assert watch is None, "the oracle checks the invariants itself"
        self.coordinator = self._subject.core(config, record=record, watch=watch_invariants(self.complaints.append))
        return self.coordinator

    async def _witness(self, asked: Awaitable[Lease]) -> Lease:
        task = trio.lowlevel.current_task()
        self._asking.add(task)
        try:
            lease = await asked
        except (ContentionError, AdapterInstantiationError, ManagerClosedError) as error:
            self.refused[type(error)] += 1
            raise
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self._asking.discard(task)
        self._leases.add(lease)
        return lease

    # ---- after every step ----

    def check(self) -> None:
        """Raises DoesNotHoldError where the coordinator and the outside do not agree, or a property does not hold."""
        expect(not self.complaints, "a property does not hold", *self.complaints[:1])
        model, tasks = self.coordinator, self.manager.outstanding().instances
        known: set[int] = set()
        for instance in model.instances.values():
            task = tasks.get(instance.id)
            adapter = None if task is None else task.adapter
            if adapter is not None:
                assert isinstance(adapter, Recorded)
                known.add(id(adapter))
            _check_instance(instance, adapter)
        for adapter in self.recorder.adapters:
            if id(adapter) not in known:
                expect(
                    len(adapter.shutdowns) == 1,
                    "an instance that the coordinator has forgotten was not shut down",
                    adapter,
                )
        self._check_requests(list(model.requests.values()))
        expect(self.refused.total() <= self._refusals(), "an error that the coordinator knows nothing of", self.refused)

    def _check_requests(self, requests: list[Request]) -> None:
        waiting = {r.owner for r in requests if r.state in _ASKING}
        blocked = {task for task in self._asking if not is_ready(task)}
        expect(waiting == blocked, "other tasks wait than the coordinator believes", _names(waiting), _names(blocked))
        granted = {r.ticket: r.owner for r in requests if r.state == "granted"}
        held = {lease.ticket for lease in self._leases if not lease.released}
        ending = self.manager.outstanding().streams  # a lease released in mid-stream goes on until its stream has ended
        held |= ending if self.coordinator.state == "open" else ending & granted.keys()  # a close revokes it meanwhile
        expect(held <= granted.keys(), "a lease is held that the coordinator knows nothing of", held, set(granted))
        under_way = Counter(owner for ticket, owner in granted.items() if ticket not in held)
        expect(
            all(task in self._asking and under_way[task] == 1 for task in under_way),
            "a lease was granted that no task has",
            _names(under_way),
        )

    def _refusals(self) -> int:
        counts = self.coordinator.tally.counts
        return counts["rejections"] + counts["timeouts"]

    # ---- at rest ----

    def check_nothing_is_served(self) -> None:
        """No task waits, nothing is leased, and every requester was told."""
        self.check()
        model = self.coordinator
        expect(not model.requests, "a request is left", list(model.requests))
        expect(not self._asking, "a task is left in get_adapter", _names(self._asking))
        expect(not any(not lease.released for lease in self._leases), "a lease is left")
        statistics = self.manager.statistics()
        for provider in statistics.providers.values():
            served = (provider.waiting, provider.assigned, provider.active, provider.draining)
            expect(served == (0, 0, 0, 0), "the statistics show a request that is served", provider)
        # a task that is cancelled at the moment of a time-out gets the cancellation
        heard = self.refused.total() + self.cancelled
        expect(heard >= self._refusals(), "not every refusal was delivered", self.refused, self.cancelled)

    def check_nothing_is_left(self) -> None:
        """As after the close: no instance lives, and every adapter was shut down exactly once, and is down."""
        self.check_nothing_is_served()
        expect(not self.recorder.not_shut_down_once(), "not shut down exactly once", self.recorder.not_shut_down_once())
        expect(all(adapter.down for adapter in self.recorder.adapters), "an adapter is not down")
        expect(not self.coordinator.instances, "an instance is left", list(self.coordinator.instances))
        left = self.manager.outstanding().instances
        expect(not left, "the task of an instance is left", list(left))
        statistics = self.manager.statistics()
        expect(all(p.live == 0 for p in statistics.providers.values()), "the statistics show a live instance")
        expect(all(s.state == "vacant" for s in statistics.slots.values()), "the statistics show a slot in use")

    # ---- for an exhaustive search ----

    def state(self) -> Hashable:
        """Everything that decides the future and is not a local variable of a task."""
        model, outstanding = self.coordinator, self.manager.outstanding()
        return (
            named(model),
            tuple((r.ticket, getattr(r.owner, "name", None)) for r in model.requests.values()),
            tuple(model.instances),
            tuple(sorted(model.timers.armed.items())),
            tuple((number, *task[1:]) for number, task in outstanding.instances.items()),  # without the adapter
            tuple(
                (a.started, len(a.shutdowns), a.down is None, a.broken_at, a.open_calls) for a in self.recorder.adapters
            ),
            tuple(sorted(lease.ticket for lease in self._leases if not lease.released)),
            tuple(sorted(outstanding.requests)),
            tuple(sorted(task.name for task in self._asking)),
        )


def _check_instance(instance: Instance, adapter: Recorded | None) -> None:
    state = instance.state
    if state in ("active", "draining", "idle"):
        expect(adapter is not None and adapter.started, "an instance is in use that has not started", instance.id)
    if state == "absent":
        expect(adapter is None, "an instance was constructed that has to wait for its predecessor", instance.id)
    elif state != "stopping" and adapter is not None:
        expect(
            not adapter.shutdowns, "an instance is shut down against the will of the coordinator", instance.id, state
        )
    elif adapter is not None:
        expect(len(adapter.shutdowns) <= 1, "an instance is shut down twice", instance.id)
        expect(adapter.down is None, "an instance is down, and the coordinator does not know", instance.id)


def _names(tasks: object) -> list[str]:
    assert hasattr(tasks, "__iter__")
    return sorted(str(getattr(task, "name", task)) for task in tasks)
