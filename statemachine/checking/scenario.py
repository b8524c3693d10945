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

    ``renew``: a task that was served may ask again, without end; at most ``times`` requests exist at once. ``watched``: the wish is a
    single request, and the liveness property is that it is served, whatever the others do. ``below``: the owner that waits for the tasks
    of this wish to end, so that its leases are above their requests.
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
    below: str | None = None


@dataclass(frozen=True)
class Scenario:
    """What the checker explores.

    ``shows``: the ``sometimes`` properties that are expected in it. ``faults`` allows failing starts and shutdowns, cancels, expired
    deadlines, broken and second releases; ``closing`` allows the manager to close at any moment. ``history`` distinguishes states also
    by the last transition of each subject, to see every pair of transitions that can follow each other. ``durations``, for policies that
    learn from them: the seconds that a lease, a load or a pause may have taken when it ends, each tried every time.
    """

    name: str
    config: ProviderManagerConfig
    wishes: tuple[Wish, ...]
    shows: tuple[str, ...] = ()
    faults: bool = True
    closing: bool = True
    history: bool = False
    durations: tuple[float, ...] = (0.0,)


class State(NamedTuple):
    """A state of the search: the coordinator's, and what the checker itself has to remember."""

    coordinator: Snapshot
    left: tuple[int, ...]  # how many requests of each wish may still be made
    account: Account  # who was overtaken how often
    issued: int  # the last ticket
    wishes: tuple[tuple[int, int], ...]  # ticket and wish of each live request, by ticket
    last: Last  # the last transition of each subject, on one of the ways to this state


class Move(NamedTuple):
    """An event. ``wish``: the wish that it fulfils, if it is an acquire. ``seconds``: the age of the lease, load or pause that it ends."""

    event: Event
    wish: int | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.event}, after {self.seconds:g} s" if self.seconds else str(self.event)
