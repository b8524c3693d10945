"""The heap driver on a single server, against SimPy's bare resource that serves the same customers.

Both write down when each customer came, was served and left. Either all ask for one model, or each for one of two, so that every second
one has to wait for a switch. The heap driver has its coordinator do more: instances, policies, deadlines, refusals, statistics. The
coordinator's part of the time is measured by itself, too.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

from simulation.drivers.heap import HeapDriver, one_slot
from simulation.timing.durations import FixedTiming
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ProviderManagerConfig
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import Effect, Event

from .measure import Comparison, compare, timed

if TYPE_CHECKING:
    import simpy

__all__ = ["ONE", "TWO", "Customers", "Visit", "heap_driver", "model_alone", "through_simpy"]

UTILISATION: Final = 0.8
SWITCH_SECONDS: Final = 0.1  # a tenth of a mean service
ONE: Final = ("model",)
TWO: Final = ("model", "other")

Visit: TypeAlias = tuple[float, float, float]
"""When a customer came, began to be served, and left: seconds from the start."""


@dataclass(frozen=True)
class Customers:
    """``arrivals`` in seconds from the start, ascending; ``service`` in seconds; which of the ``models`` each asks for."""

    arrivals: tuple[float, ...]
    service: tuple[float, ...]
    models: tuple[str, ...]

    @classmethod
    def drawn(cls, count: int, seed: int = 0, models: Sequence[str] = ONE) -> Customers:
        """As in the M/M/1 queue, at a utilisation of 0.8: most of them have to wait. Each asks for one of ``models``."""
        rng = random.Random(seed)
        arrivals = tuple(accumulate(rng.expovariate(UTILISATION) for _ in range(count)))
        service = tuple(rng.expovariate(1.0) for _ in range(count))
        return cls(arrivals, service, tuple(rng.choices(models, k=count)))

    def driver(self) -> HeapDriver:
        """The heap driver, ready to serve them."""
        asked = enumerate(zip(self.arrivals, self.models, strict=True))
        calls = (PlannedCall(number, "agent", model, 1, 1, (), time) for number, (time, model) in asked)
        return HeapDriver(Workload("single server", tuple(calls)), FixedTiming(self.service, SWITCH_SECONDS))


def heap_driver(rounds: int, models: Sequence[str] = ONE, customers: int = 5000) -> Comparison:
    """Seconds per customer of a whole run, records included, against SimPy. The workload is prepared before, once for all runs."""
    who = Customers.drawn(customers, models=models)
    driver, config = who.driver(), one_slot()
    return compare(
        lambda: timed(lambda: driver.replay(config), customers),
        lambda: timed(lambda: through_simpy(who), customers),
        rounds,
    )


def model_alone(rounds: int, models: Sequence[str] = ONE, customers: int = 5000) -> Comparison:
    """Seconds per customer of the coordinator's steps in such a run, its events made before, against all of SimPy."""
    who, config = Customers.drawn(customers, models=models), one_slot()
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

    who.driver().replay(config, core=Recorded)
    return events


def through_simpy(who: Customers) -> list[Visit]:
    """The visits, in the order of their ends: one process for each customer, made when it comes."""
    import simpy  # of the development's needs alone

    environment = simpy.Environment()
    server = _Server(simpy.Resource(environment, capacity=1))
    visits: list[Visit] = []
    environment.process(_arrivals(environment, server, who, visits))
    environment.run()
    return visits


@dataclass(slots=True)
class _Server:
    """It has one model loaded."""

    resource: simpy.Resource
    model: str | None = None


def _arrivals(
    environment: simpy.Environment, server: _Server, who: Customers, visits: list[Visit]
) -> Generator[simpy.Event, object, None]:
    before = 0.0
    for time, seconds, model in zip(who.arrivals, who.service, who.models, strict=True):
        yield environment.timeout(time - before)
        before = time
        environment.process(_visit(environment, server, seconds, model, visits))


def _visit(
    environment: simpy.Environment, server: _Server, seconds: float, model: str, visits: list[Visit]
) -> Generator[simpy.Event, object, None]:
    came = environment.now
    with server.resource.request() as request:
        yield request
        if server.model != model:
            yield environment.timeout(SWITCH_SECONDS)
            server.model = model
        begun = environment.now
        yield environment.timeout(seconds)
    visits.append((came, begun, environment.now))
