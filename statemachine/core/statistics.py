"""Statistics of a coordinator, frozen: how full its pools are, how long their queues are, and what was used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..frozen import FrozenDict
from .coordinator import Coordinator
from .counters import Counters, ModelUsage
from .index import Pool

__all__ = ["ProviderStatistics", "SlotStatistics", "Statistics", "statistics"]

SlotState: TypeAlias = Literal["vacant", "loading", "busy", "resident", "unloading"]
_SLOT_STATES: dict[str, SlotState] = {
    "starting": "loading",
    "active": "busy",
    "draining": "busy",
    "idle": "resident",
    "stopping": "unloading",
}


@dataclass(frozen=True, slots=True)
class ProviderStatistics:
    """One provider's live instances by state (their sum is ``live``, at most ``limit``), and its waiting and assigned requests.

    ``limit`` of a local provider is that of one slot, 1. With ``local_scope="endpoint"`` a provider may have several slots.
    """

    limit: int
    starting: int
    active: int
    draining: int
    idle: int
    stopping: int
    waiting: int
    assigned: int

    @property
    def live(self) -> int:
        """Instances that count towards the limit."""
        return self.starting + self.active + self.draining + self.idle + self.stopping


@dataclass(frozen=True, slots=True)
class SlotStatistics:
    """One local slot. ``model`` is the one that occupies it (None: vacant), ``next_model`` the one that its shutdown makes room for."""

    state: SlotState
    model: str | None
    next_model: str | None
    leases: int
    waiting: int
    assigned: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """What ``ProviderManager.statistics()`` returns. Slots are keyed by ``"local"``, or by endpoint where each has its own."""

    providers: Mapping[str, ProviderStatistics]
    slots: Mapping[str, SlotStatistics]
    counters: Counters
    models: Mapping[str, ModelUsage]


def statistics(coordinator: Coordinator) -> Statistics:
    """Take the statistics of ``coordinator``. The time is proportional to what is managed."""
    config = coordinator.config
    instances = Counter((i.demand.provider, i.state) for i in coordinator.instances.values())
    requests = Counter((r.demand.provider, r.state) for r in coordinator.requests.values())
    providers = {
        p.name: ProviderStatistics(
            limit=config.limit_of(p),
            starting=instances[p.name, "starting"],
            active=instances[p.name, "active"],
            draining=instances[p.name, "draining"],
            idle=instances[p.name, "idle"],
            stopping=instances[p.name, "stopping"],
            waiting=requests[p.name, "waiting"],
            assigned=requests[p.name, "assigned"],
        )
        for p in config.available_providers
    }
    slots = {pool.key.name: _slot(pool) for pool in coordinator.pools.values() if pool.is_slot}
    if config.local_scope == "all" and any(p.is_local for p in config.available_providers):
        slots.setdefault("local", SlotStatistics("vacant", None, None, 0, 0, 0))
    tally = coordinator.tally
    return Statistics(FrozenDict(providers), FrozenDict(slots), tally.counters(), FrozenDict(tally.usage()))


def _slot(pool: Pool) -> SlotStatistics:
    live = next((i for i in pool.instances.values() if i.state != "absent"), None)
    planned = next((i for i in pool.instances.values() if i.state == "absent"), None)
    return SlotStatistics(
        state="vacant" if live is None else _SLOT_STATES[live.state],
        model=None if live is None else live.demand.model,
        next_model=None if planned is None else planned.demand.model,
        leases=0 if live is None else len(live.leases),
        waiting=len(pool.waiting),
        assigned=sum(len(i.assigned) for i in pool.instances.values()),
    )
