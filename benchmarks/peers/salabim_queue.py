"""The customers of one server in salabim, as processes that are generators."""

from __future__ import annotations

from collections.abc import Iterator

import salabim

from benchmarks.simulators.customers import Customers, Visit


def run(who: Customers) -> list[Visit]:
    """The visits, in the order of their ends."""
    salabim.yieldless(False)
    environment = salabim.Environment(trace=False)
    server = salabim.Resource("server", capacity=1)
    visits: list[Visit] = []

    class Customer(salabim.Component):
        def setup(self, seconds: float) -> None:
            self.seconds = seconds

        def process(self) -> Iterator[object]:
            came = environment.now()
            yield self.request(server)
            begun = environment.now()
            yield self.hold(self.seconds)
            self.release(server)
            visits.append((came, begun, environment.now()))

    class Arrivals(salabim.Component):
        def process(self) -> Iterator[object]:
            for gap, seconds in zip(who.gaps, who.service, strict=True):
                yield self.hold(gap)
                Customer(seconds=seconds)

    Arrivals()
    environment.run()
    return visits
