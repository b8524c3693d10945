"""The heap driver on a single server, against SimPy's bare resource that serves the same customers, with and without a switch of models.

Both write down when each customer came, was served and left. The heap driver has its model do more: instances, policies, deadlines,
refusals, statistics. The model's part of the time is measured by itself, too.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final

from simulation.drivers.heap import HeapDriver, one_slot
from simulation.timing.durations import FixedTiming
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ProviderManagerConfig
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Effect, Event

from ..measuring.compare import Comparison, compare, timed
from .customers import Customers, Visit

if TYPE_CHECKING:
    import simpy

__all__ = ["SWITCH_SECONDS", "driver", "heap_driver", "model_alone", "through_simpy"]

SWITCH_SECONDS: Final = 0.1  # a tenth of a mean service


def driver(who: Customers) -> HeapDriver:
    """The heap driver, ready to serve them."""
    calls = (
        PlannedCall(number, "agent", model, 1, 1, (), time)
        for number, (time, model) in enumerate(zip(who.arrivals, who.models, strict=True))
    )
    return HeapDriver(Workload("single server", tuple(calls)), FixedTiming(who.service, who.switch_seconds))


def heap_driver(rounds: int, customers: int = 5000, switch_seconds: float = 0.0) -> Comparison:
    """Seconds per customer of a whole run, records included, against SimPy. The workload is prepared before, once for all runs."""
    who = Customers.drawn(customers, switch_seconds=switch_seconds)
    heap, config = driver(who), one_slot()
    return compare(
        lambda: timed(lambda: heap.replay(config), customers),
        lambda: timed(lambda: through_simpy(who), customers),
        rounds,
    )


def model_alone(rounds: int, customers: int = 5000, switch_seconds: float = 0.0) -> Comparison:
    """Seconds per customer of the coordinator's steps in such a run, against all of SimPy."""
    who, config = Customers.drawn(customers, switch_seconds=switch_seconds), one_slot()
    events = _events(who, config)

    def steps() -> None:
        step = Coordinator(config).step
        for event, now in events:
            step(event, now)

    return compare(
        lambda: timed(steps, customers),
        lambda: timed(lambda: through_simpy(who), customers),
        rounds,
    )


def _events(who: Customers, config: ProviderManagerConfig) -> list[tuple[Event, float]]:
    """What the coordinator is told, and when, in a run."""
    events: list[tuple[Event, float]] = []

    class Recorded(Coordinator):
        def step(self, event: Event, now: float) -> list[Effect]:
            events.append((event, now))
            return super().step(event, now)

    driver(who).replay(config, core=Recorded)
    return events


def through_simpy(who: Customers) -> list[Visit]:
    """The visits, in the order of their ends: one process for each customer, made when it comes."""
    import simpy  # of the development's needs alone

    environment = simpy.Environment()
    server = _Server(simpy.Resource(environment, capacity=1), who.switch_seconds)
    environment.process(_arrivals(environment, server, who))
    environment.run()
    return server.visits


class _Server:
    """One place, what is loaded in it, and who was there."""

    def __init__(self, place: simpy.Resource, switch_seconds: float) -> None:
        self.place = place
        self.switch_seconds = switch_seconds
        self.loaded = ""
        self.visits: list[Visit] = []


def _arrivals(environment: simpy.Environment, server: _Server, who: Customers) -> Generator[simpy.Event, object, None]:
    for gap, seconds, model in zip(who.gaps, who.service, who.models, strict=True):
        yield environment.timeout(gap)
        environment.process(_visit(environment, server, seconds, model))


def _visit(
    environment: simpy.Environment, server: _Server, seconds: float, model: str
) -> Generator[simpy.Event, object, None]:
    came = environment.now
    with server.place.request() as request:
        yield request
        if server.switch_seconds and server.loaded != model:
            server.loaded = model
            yield environment.timeout(server.switch_seconds)
        begun = environment.now
        yield environment.timeout(seconds)
    server.visits.append((came, begun, environment.now))
