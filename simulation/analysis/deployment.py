"""Where models run when there are several servers, or memory for several models: local slots, and which call goes to which.

Models are dealt to servers by their work: the busiest first, each to the server that has least to do (longest processing time first:
Graham, SIAM Journal on Applied Mathematics 17, 1969). Where there are more servers than models, the busiest models have several, and agents
are dealt to those in turn. On a server with memory for it the busiest models have a slot of their own, and the rest takes turns in one.
Slots of one server share its processor evenly.

In the product such a deployment is a provider for each slot, with an address of its own, and ``local_scope="endpoint"``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from statemachine import ProviderConfig, ProviderManagerConfig
from statemachine.policies import PolicyFactory

from ..drivers.heap import no_adapter
from ..drivers.routing import Routing
from ..workloads.workload import Workload

__all__ = ["Deployment", "Machines", "deployed"]


class Machines(NamedTuple):
    """What there is: servers, the bytes of memory of each (None: for one model at a time), and requests at once in each model.

    ``model_bytes`` is the size of each model; ``request_bytes`` what the context of one request takes.
    """

    servers: int
    memory_bytes: float | None
    parallel: int
    model_bytes: Mapping[str, int]
    request_bytes: float = 0.0

    def need(self, model: str) -> float:
        """Return the bytes that ``model`` takes when it is loaded."""
        return self.model_bytes[model] + self.parallel * self.request_bytes

    @property
    def fits(self) -> bool:
        """Whether every model fits into a server by itself."""
        return self.memory_bytes is None or max(map(self.need, self.model_bytes)) <= self.memory_bytes


class Deployment(NamedTuple):
    """What a driver is given."""

    config: ProviderManagerConfig
    routing: Routing


def deployed(workload: Workload, seconds: Sequence[float], machines: Machines, policy: PolicyFactory) -> Deployment:
    """Deal ``workload`` to ``machines``, which must fit. ``seconds`` is how long each call takes by itself."""
    work: Counter[str] = Counter()
    for call in workload.calls:
        work[call.model] += seconds[call.id]  # type: ignore[assignment]  # a sum of seconds
    homes = _servers_of(work, machines.servers)
    slots = {
        (server, model): f"server {server} slot {number}"
        for server in range(machines.servers)
        for number, group in enumerate(_slots_of([m for m in homes if server in homes[m]], work, machines))
        for model in group
    }
    turns = {agent: turn for turn, agent in enumerate(dict.fromkeys(_session(agent) for agent in workload.agents))}
    chosen = []
    for call in workload.calls:
        servers = homes[call.model]
        chosen.append(slots[servers[turns[_session(call.agent)] % len(servers)], call.model])
    names = list(dict.fromkeys(slots.values()))
    providers = [ProviderConfig(name, no_adapter, is_local=True, parallel=machines.parallel) for name in names]
    config = ProviderManagerConfig(providers, on_conflict="wait", policy=policy, local_scope="endpoint")
    return Deployment(config, Routing(chosen, {name: server for (server, _), name in slots.items()}))


def _session(agent: str) -> str:
    """Return the agent that a sub-agent belongs to: both go to the same server."""
    return agent.partition("/")[0]


def _servers_of(work: Mapping[str, float], servers: int) -> dict[str, list[int]]:
    """Return the servers of each model, the busiest model first."""
    busiest = sorted(work, key=lambda model: -work[model])
    if servers <= len(busiest):
        loads = [0.0] * servers
        homes: dict[str, list[int]] = {}
        for model in busiest:
            server = loads.index(min(loads))
            loads[server] += work[model]
            homes[model] = [server]
        return homes
    shares = dict.fromkeys(busiest, 1)
    for _ in range(servers - len(busiest)):  # the highest average: the method of D'Hondt
        shares[max(busiest, key=lambda model: work[model] / (shares[model] + 1))] += 1
    numbers = iter(range(servers))
    return {model: [next(numbers) for _ in range(share)] for model, share in shares.items()}


def _slots_of(models: Sequence[str], work: Mapping[str, float], machines: Machines) -> list[list[str]]:
    """Choose the models that have a slot of their own; the others share the last one."""
    rest = sorted(models, key=lambda model: -work[model])
    own: list[str] = []
    memory = machines.memory_bytes
    for model in list(rest):
        others = [each for each in rest if each != model]
        if memory is None or not others:
            break
        if sum(map(machines.need, [*own, model])) + max(map(machines.need, others)) <= memory:
            own.append(model)
            rest = others
    return [*([model] for model in own), rest]
