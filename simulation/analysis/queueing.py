"""Closed formulas of queueing theory, which the simulator must meet. Rates per second, times in seconds.

Sources: Kleinrock, Queueing Systems 1, 1975 (M/M/1, M/M/c, finite source; M/D/1 is Pollaczek and Khinchin's formula); Boxma and
Groenendijk, Pseudo-conservation laws in cyclic-service systems, Journal of Applied Probability 24, 1987 (polling).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["finite_source_response", "md1_wait", "mm1_wait", "mmc_wait", "polling_workload"]


def mm1_wait(arrivals: float, services: float) -> float:
    """Mean wait in M/M/1: Poisson arrivals, exponential services, one server."""
    return arrivals / services / (services - arrivals)


def md1_wait(arrivals: float, service_seconds: float) -> float:
    """Mean wait in M/D/1: services that all take as long."""
    load = arrivals * service_seconds
    return load * service_seconds / (2 * (1 - load))


def mmc_wait(arrivals: float, services: float, servers: int) -> float:
    """Mean wait in M/M/c, by Erlang's C formula."""
    offered = arrivals / services
    terms = [offered**n / math.factorial(n) for n in range(servers)]
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    return last / (math.fsum(terms) + last) / (servers * services - arrivals)


def finite_source_response(agents: int, think_seconds: float, services: float) -> float:
    """Mean time from request to answer of ``agents`` that think exponentially and share one exponential server."""
    offered = 1 / (think_seconds * services)
    weights = [math.perm(agents, n) * offered**n for n in range(agents + 1)]
    throughput = services * (1 - weights[0] / math.fsum(weights))
    return agents / throughput - think_seconds


def polling_workload(loads: Sequence[float], service_seconds: float, switch_seconds: float, *, gated: bool) -> float:
    """Sum of load times mean wait over the queues of a cyclic server with exponential services: the pseudo-conservation law.

    ``loads``: arrival rate times mean service of each queue; ``switch_seconds``: the constant time of each switch.
    """
    load, cycle = math.fsum(loads), switch_seconds * len(loads)
    second_moment = 2 * service_seconds**2
    rates = [each / service_seconds for each in loads]
    work = load * math.fsum(rate * second_moment for rate in rates) / (2 * (1 - load))
    switching = load * cycle / 2 + cycle / (2 * (1 - load)) * (load**2 - math.fsum(each**2 for each in loads))
    waiting = cycle / (1 - load) * math.fsum(each**2 for each in loads) if gated else 0.0
    return work + switching + waiting
