"""The heap driver on a single server, against SimPy's bare resource that serves the same customers.

Both write down when each customer came, was served and left. The heap driver has its model do more: instances, policies, deadlines,
refusals, statistics. The model's part of the time is measured by itself, too.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

from simulation.drivers.heap import HeapDriver, one_slot
from simulation.timing.durations import FixedTiming
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ProviderManagerConfig, RuntimeProviderConfig
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import AcquireRequested, Event, Opened, Released, StartSucceeded

from .measure import Comparison, compare, timed

if TYPE_CHECKING:
    import simpy

__all__ = ["Customers", "Visit", "heap_driver", "model_alone", "through_simpy"]

UTILISATION: Final = 0.8
MODEL: Final = "model"

Visit: TypeAlias = tuple[float, float, float]
"""When a customer came, began to be served, and left: seconds from the start."""


@dataclass(frozen=True)
class Customers:
    """``arrivals`` in seconds from the start, ascending; ``service`` in seconds."""

    arrivals: tuple[float, ...]
    service: tuple[float, ...]

    @classmethod
    def drawn(cls, count: int, seed: int = 0) -> Customers:
        """As in the M/M/1 queue, at a utilisation of 0.8: nearly everybody has to wait."""
        rng = random.Random(seed)
        arrivals = accumulate(rng.expovariate(UTILISATION) for _ in range(count))
        return cls(tuple(arrivals), tuple(rng.expovariate(1.0) for _ in range(count)))

    def driver(self) -> HeapDriver:
        """The heap driver, ready to serve them."""
        calls = (PlannedCall(number, "agent", MODEL, 1, 1, (), time) for number, time in enumerate(self.arrivals))
        return HeapDriver(Workload("single server", tuple(calls)), FixedTiming(self.service))


def heap_driver(rounds: int, customers: int = 5000) -> Comparison:
    """Seconds per customer of a whole run, records included, against SimPy. The workload is prepared before, once for all runs."""
    who = Customers.drawn(customers)
    driver, config = who.driver(), one_slot()
    return compare(
        lambda: timed(lambda: driver.replay(config), customers),
        lambda: timed(lambda: through_simpy(who), customers),
        rounds,
    )


def model_alone(rounds: int, customers: int = 5000) -> Comparison:
    """Seconds per customer of the model's steps in such a run (two events each, made before), against all of SimPy."""
    who, config = Customers.drawn(customers), one_slot()
    events = _events(who, config)

    def steps() -> None:
        step = Coordinator(config).step
        step(Opened(), 0.0)
        for event, now in events:
            step(event, now)

    return compare(
        lambda: timed(steps, customers),
        lambda: timed(lambda: through_simpy(who), customers),
        rounds,
    )


def _events(who: Customers, config: ProviderManagerConfig) -> list[tuple[Event, float]]:
    """What the model is told of, and when, in a run."""
    demand = config.resolve(RuntimeProviderConfig(config.available_providers[0].name, MODEL))
    events: list[tuple[float, int, Event]] = [(who.arrivals[0], 1, StartSucceeded(1))]
    for ticket, record in enumerate(who.driver().replay(config).records, start=1):
        events.append((record.arrived, 0, AcquireRequested(ticket, demand, ticket, record.agent)))
        events.append((record.finished, 2, Released(ticket)))
    return [(event, now) for now, _, event in sorted(events, key=lambda row: row[:2])]


def through_simpy(who: Customers) -> list[Visit]:
    """The visits, in the order of their ends: one process for each customer, made when it comes."""
    import simpy  # of the development's needs alone

    environment = simpy.Environment()
    server = simpy.Resource(environment, capacity=1)
    visits: list[Visit] = []
    environment.process(_arrivals(environment, server, who, visits))
    environment.run()
    return visits


def _arrivals(
    environment: simpy.Environment, server: simpy.Resource, who: Customers, visits: list[Visit]
) -> Generator[simpy.Event, object, None]:
    before = 0.0
    for time, seconds in zip(who.arrivals, who.service, strict=True):
        yield environment.timeout(time - before)
        before = time
        environment.process(_visit(environment, server, seconds, visits))


def _visit(
    environment: simpy.Environment, server: simpy.Resource, seconds: float, visits: list[Visit]
) -> Generator[simpy.Event, object, None]:
    came = environment.now
    with server.request() as request:
        yield request
        begun = environment.now
        yield environment.timeout(seconds)
    visits.append((came, begun, environment.now))
