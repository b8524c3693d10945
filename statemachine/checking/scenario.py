"""What the checker explores: a configuration, a few requests, and what may happen to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..config.providers import ProviderManagerConfig
from ..core.events import Event
from ..core.snapshot import Snapshot
from .coverage import Last
from .passing import Account

__all__ = ["Move", "Scenario", "State", "Wish"]


class Wish(NamedTuple):
    """``times`` interchangeable requests for one configuration. Requests with the same ``owner`` come from one task.

    ``renew``: a task that was served may ask again, without end; at most ``times`` requests exist at once. ``watched``: it is a single
    request, which has to be served in the end, whatever the others do.
    """

    provider: str
    model: str
    times: int
    owner: str | None = None
    priority: int = 0
    timeout: float | None = None
    renew: bool = False
    watched: bool = False
    agent: str | None = None


@dataclass(frozen=True)
class Scenario:
    """What the checker explores. ``faults`` allows failing starts and shutdowns, cancels, overdue deadlines, broken and second releases;
    ``closing`` allows the manager to close at any moment. ``shows`` are the ``sometimes`` properties expected in it. ``history`` tells
    states apart by how everything came into them, to see every pair of transitions that can follow each other. ``durations`` are the
    seconds that a lease, a load or a pause may have taken when it ends, any of them each time: for policies that learn from it (else: no
    time)."""

    name: str
    config: ProviderManagerConfig
    wishes: tuple[Wish, ...]
    shows: tuple[str, ...] = ()
    faults: bool = True
    closing: bool = True
    history: bool = False
    durations: tuple[float, ...] = (0.0,)


class State(NamedTuple):
    """The exact state of the coordinator, how many requests of each wish may still be made, who has been passed over, the last ticket,
    whose wish each live request is, and how everything came into its present state (on one of the ways there)."""

    coordinator: Snapshot
    left: tuple[int, ...]
    account: Account
    issued: int
    wishes: tuple[tuple[int, int], ...]  # ticket and wish, by ticket
    last: Last


class Move(NamedTuple):
    """An event, the wish that it fulfils where it is an acquire, and for how many seconds that had gone on which it ends."""

    event: Event
    wish: int | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.event}, after {self.seconds:g} s" if self.seconds else str(self.event)
