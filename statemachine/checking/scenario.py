"""What the checker explores: a configuration, a few requests, and what may happen to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..config import ProviderManagerConfig
from ..events import Event
from ..snapshot import Snapshot
from .coverage import Last
from .passing import Account

__all__ = ["Move", "Scenario", "State", "Wish"]


class Wish(NamedTuple):
    """``times`` interchangeable requests for one configuration. Requests with the same ``owner`` come from one task.

    ``renew``: whoever has been served may ask again, for ever; there are ``times`` at once at most. ``watched``: it is a single request,
    which has to be served in the end, whatever the others do.
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
    states apart by how everything came into them, to see every pair of transitions that can follow each other."""

    name: str
    config: ProviderManagerConfig
    wishes: tuple[Wish, ...]
    shows: tuple[str, ...] = ()
    faults: bool = True
    closing: bool = True
    history: bool = False


class State(NamedTuple):
    """The model's exact state, how many requests of each wish may still be made, who has been passed over, the last ticket, whose wish
    each live request is, and how everything came into its present state (on one of the ways there)."""

    model: Snapshot
    left: tuple[int, ...]
    account: Account
    issued: int
    wishes: tuple[tuple[int, int], ...]  # ticket and wish, by ticket
    last: Last


class Move(NamedTuple):
    """An event, and the wish that it fulfils where it is an acquire."""

    event: Event
    wish: int | None = None

    def __str__(self) -> str:
        return str(self.event)
