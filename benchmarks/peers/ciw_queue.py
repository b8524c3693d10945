"""The customers of one server in ciw."""

from __future__ import annotations

import ciw

from benchmarks.simulators.customers import Customers, Visit


def run(who: Customers) -> list[Visit]:
    """The visits, in any order."""
    network = ciw.create_network(
        # one more gap, which the end of the run never reaches: the list begins anew after its last
        arrival_distributions=[ciw.dists.Sequential([*who.gaps, 1e12])],
        service_distributions=[ciw.dists.Sequential(list(who.service))],
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(who.arrivals), method="Finish")
    return [
        (record.arrival_date, record.service_start_date, record.exit_date) for record in simulation.get_all_records()
    ]
