"""What a policy costs per decision, with few and with many waiters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from statemachine.policies import Affinity, Choice, CostAware, Fair, Fifo, Gated, PolicyFactory, Prioritised

from .measuring.compare import Comparison, compare, timed

__all__ = ["MANY", "POLICIES", "growth_of_policy"]

FEW: Final = 10
MANY: Final = 10_000
MODELS: Final = "abcdefg"
AGENTS: Final = 6

POLICIES: Final[dict[str, tuple[PolicyFactory, int]]] = {
    "fifo": (Fifo, AGENTS),
    "gated": (Gated, AGENTS),
    "affinity": (partial(Affinity, 16), AGENTS),
    "cost_aware": (CostAware, AGENTS),
    "fair": (Fair, AGENTS),
    "fair, an agent each": (Fair, MANY),
}
"""And how many agents there are at most, if as many wait."""


@dataclass(frozen=True, slots=True)
class _Waiter:
    ticket: int
    signature: str
    agent: str | None = None
    priority: int = 0
    is_assigned: bool = False


def growth_of_policy(make: PolicyFactory, agents: int, rounds: int, operations: int = 5000) -> Comparison:
    """Seconds per hand-off (a choice, a departure, the end of a lease, an arrival) with many waiters of mixed models, against few.

    They are requests of ``agents`` agents in turn.
    """
    many, few = _hand_offs(make, agents, MANY, operations), _hand_offs(make, agents, FEW, operations)
    return compare(many, few, rounds)


def _hand_offs(make: PolicyFactory, agents: int, waiters: int, operations: int) -> Callable[[], float]:
    policy = Prioritised(make)  # as in the model
    waiting: dict[int, _Waiter] = {}
    ticket = 0

    def arrive() -> None:
        nonlocal ticket
        ticket += 1
        waiting[ticket] = _Waiter(ticket, MODELS[ticket % len(MODELS)], f"agent {ticket % agents}")
        policy.arrived(waiting[ticket])

    def work() -> None:
        for _ in range(operations):
            choice = policy.choose()
            assert isinstance(choice, Choice), "a request waits"
            waiter = waiting.pop(choice.ticket)
            policy.placed(waiter)
            policy.served(waiter, 1000)
            arrive()

    for _ in range(waiters):
        arrive()
    return lambda: timed(work, operations)
