"""Which slots there are on how many servers with how much memory, and which call goes to which."""

from __future__ import annotations

import pytest

from simulation.analysis.deployment import Machines, deployed
from simulation.workloads.workload import PlannedCall, Workload
from statemachine.policies import Fifo

SIZES = {"small": 2, "middle": 4, "large": 10}
WORK = {"small": 5.0, "middle": 3.0, "large": 4.0}


def slots(servers: int = 1, memory: float | None = None, parallel: int = 1) -> dict[str, set[str]]:
    """The models of each slot, for six agents that call all three models once, sub-agents among them."""
    agents = [f"a{n}" for n in range(5)] + ["a4/sub"]
    calls = [
        PlannedCall(n, agent, model, 1, 1) for n, (agent, model) in enumerate((a, m) for a in agents for m in SIZES)
    ]
    machines = Machines(servers, memory, parallel, SIZES, 1.0)
    assert machines.fits
    found = deployed(Workload("w", tuple(calls)), [WORK[call.model] for call in calls], machines, Fifo)
    models: dict[str, set[str]] = {}
    for call in calls:
        models.setdefault(found.routing.providers[call.id], set()).add(call.model)
    homes = {(call.agent, call.model): found.routing.providers[call.id] for call in calls}
    assert all(homes["a4", model] == homes["a4/sub", model] for model in SIZES), "a session stays together"
    assert {provider.name for provider in found.config.available_providers} == models.keys()
    assert {provider.parallel for provider in found.config.available_providers} == {parallel}
    assert found.routing.machines == {name: int(name.split()[1]) for name in models}
    return models


@pytest.mark.parametrize(
    ("servers", "memory", "expected"),
    [
        (1, None, [{"small", "middle", "large"}]),
        (1, 11.0, [{"small", "middle", "large"}]),
        (1, 14.0, [{"small"}, {"middle", "large"}]),  # the busiest has a slot of its own: 3 and 11
        (1, 19.0, [{"small"}, {"large"}, {"middle"}]),
        (2, None, [{"small"}, {"middle", "large"}]),  # 5 against 4 + 3 is the best there is
        (3, None, [{"small"}, {"middle"}, {"large"}]),
        (4, None, [{"small"}, {"small"}, {"middle"}, {"large"}]),
    ],
)
def test_slots(servers: int, memory: float | None, expected: list[set[str]]) -> None:
    found = slots(servers, memory)
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected))


def test_requests_at_once_take_memory() -> None:
    assert len(slots(memory=14.0, parallel=1)) == 2
    assert len(slots(memory=14.0, parallel=2)) == 1
    assert not Machines(1, 14.0, 5, SIZES, 1.0).fits
    assert Machines(1, None, 500, SIZES, 1.0).fits
