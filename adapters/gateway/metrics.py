"""What Prometheus is told. Names follow its conventions: a unit in the name, ``_total`` for what only grows.

Labels are bounded: models and providers are those that were leased, at most :data:`LABELS` of each; agents at most :data:`LABELS`.
Further ones are counted as ``other``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from statemachine import Lease, Statistics

from .problems import Problem

__all__ = ["Metrics"]

T = TypeVar("T")

LABELS: Final = 100
_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """``statistics`` is asked at each scrape; ``waiting`` for the number of requests without a lease."""

    def __init__(self, statistics: Callable[[], Statistics], waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Current(statistics, waiting))
        self._queueing = Histogram(
            "llm_slots_queueing_seconds",
            "From the request to its place",
            ["model"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._loading = Histogram(
            "llm_slots_loading_seconds",
            "From the place to the lease",
            ["model"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._agent = Counter(
            "llm_slots_agent_wait_seconds", "From request to lease, added up", ["agent"], registry=self._registry
        )
        self._models = _Bounded(lambda label: (self._queueing.labels(label), self._loading.labels(label)))
        self._agents = _Bounded(self._agent.labels)
        self._refusals = Counter("llm_slots_refusals", "Requests without an answer", ["cause"], registry=self._registry)

    def granted(self, agent: str, model: str, lease: Lease) -> None:
        """Count a request that has its lease."""
        queueing, loading = self._models.of(model)
        queueing.observe(lease.queued_seconds)
        loading.observe(lease.loading_seconds)
        self._agents.of(agent).inc(lease.queued_seconds + lease.loading_seconds)

    def refused(self, problem: Problem) -> None:
        """Count a refused request."""
        self._refusals.labels(problem.code).inc()

    def page(self) -> bytes:
        """Return the text that a scrape gets."""
        return generate_latest(self._registry)


class _Bounded(Generic[T]):
    """What is counted for each name: the first :data:`LABELS` names have a label of their own. ``make`` looks a label up, which is slow."""

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make
        self._made: dict[str, T] = {}

    def of(self, name: str) -> T:
        if (known := self._made.get(name)) is not None:
            return known
        label = name if len(self._made) < LABELS else "other"
        if label not in self._made:
            self._made[label] = self._make(label)
        return self._made[label]


class _Current(Collector):
    """The manager's own counts, read when they are asked for."""

    def __init__(self, statistics: Callable[[], Statistics], waiting: Callable[[], int]) -> None:
        self._statistics = statistics
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        now = self._statistics()
        yield GaugeMetricFamily("llm_slots_waiting_requests", "Requests without a lease", value=self._waiting())
        instances = GaugeMetricFamily("llm_slots_instances", "Live instances", labels=["provider", "state"])
        for name, provider in now.providers.items():
            for state in ("starting", "active", "draining", "idle", "stopping"):
                instances.add_metric([name, state], getattr(provider, state))
        yield instances
        leases = GaugeMetricFamily("llm_slots_slot_leases", "Leases of a local slot", labels=["slot", "model"])
        for key, slot in now.slots.items():
            leases.add_metric([key, slot.model or ""], slot.leases)
        yield leases
        for name in ("grants", "switches", "evictions", "start_failures", "shutdown_failures"):
            help_text = name.replace("_", " ").capitalize()
            yield CounterMetricFamily(f"llm_slots_{name}", help_text, value=getattr(now.counters, name))
