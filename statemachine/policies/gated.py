"""Gated service: serve the requests that wait for a model when its load ends; then another model has its turn.

A local slot serves one model at a time: that model has the *turn*. While the model is loaded its *gate* is open, and admits every
request for it. When the load ends the gate closes. The admitted requests are served; a request that arrives later waits for the next
gate of its model. When none of the admitted waits any more, the turn goes to the model of the oldest waiter.

Example: tickets 1, 3 and 4 ask for model ``a``, tickets 2 and 5 for ``b``, and ``a`` is loaded for ticket 1. Tickets 3 and 4 are
admitted. After the load ticket 6 asks for ``a``: it waits outside. Served are 1, 3, 4 of ``a``, then 2, 5 of ``b``, then 6.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final

from ..checks import check_count
from .line import Line
from .policy import BasePolicy, Bound, Choice, NamedPolicy, Pause, Rank, Waiter
from .round_robin import RoundRobin

__all__ = ["POLICY", "Gated"]


class Gated(BasePolicy):
    """Serve the admitted requests of the model that has the turn, then ``extra`` newcomers for it, then the oldest other waiter's model.

    An ``extra`` of 0 is the plain gated discipline of polling systems. But agents ask again soon after they were served. Serving some of
    them before the switch saves switches, at the cost of the requests that wait.

    Bound (:class:`.policy.Bound`): ``late`` is ``extra``. Proof: a request X of another model passes over the waiter W, and gets its
    lease. By then the gate of X's model is closed. So the requests that can still pass W over are the admitted ones, which are known, and
    ``extra`` newcomers. All other requests for that model are younger than W: either W waited already when they came, or they came after X.
    So when the turn ends, W is older than every waiter of that model, and W's gate opens before that model's next one.

    With a ``quantum`` the agent that has been served least goes first among those admitted (:class:`.round_robin.RoundRobin`); without
    one the oldest request does. The bound is the same: of its own model, too, only requests that were admitted with W can pass it over.
    Raises ConfigurationError.
    """

    def __init__(self, extra: int = 0, quantum: int | None = None) -> None:
        check_count("extra", extra, least=0)
        self.bound: Final = Bound(passes=None, late=extra)
        self._extra = extra
        self._lines: dict[str, Line] = {}  # the waiters by model
        self._turn = ""  # the model that has the turn
        # heap of the other models by their oldest tickets; only the entry at the top is sure to be up to date
        self._others: list[tuple[int, str]] = []
        self._open = False  # whether the gate is open: the model is being loaded, or its load is still to begin
        self._last_admitted = 0  # the youngest admitted ticket
        self._newcomers_left = 0  # how many more newcomers may be served in this turn
        self._agents = None if quantum is None else RoundRobin(quantum)

    def arrived(self, waiter: Waiter) -> None:
        model, ticket = waiter.signature, waiter.ticket
        line = self._lines.get(model)
        if line is None:
            line = self._lines[model] = Line()
        line.add(waiter)
        if model != self._turn and line.first == ticket:
            heappush(self._others, (ticket, model))
        if self._agents is not None:
            self._agents.add(waiter)

    def placed(self, waiter: Waiter) -> None:
        ticket = waiter.ticket
        # to this turn, if it is for its model
        belongs = self._open or ticket <= self._last_admitted or self._newcomers_left
        if not belongs or waiter.signature != self._turn:
            self._give_turn(waiter)
        elif self._open:
            self._last_admitted = max(self._last_admitted, ticket)
        elif ticket > self._last_admitted:
            self._newcomers_left -= 1
        if self._open and not waiter.is_assigned:  # it was granted, so the model is loaded
            self._close_gate()
        self.left(waiter)

    def left(self, waiter: Waiter) -> None:
        model = waiter.signature
        line = self._lines[model]
        line.remove(waiter)
        if not line:
            del self._lines[model]
        elif model != self._turn and waiter.ticket < line.first:
            heappush(self._others, (line.first, model))
        if self._agents is not None:
            self._agents.remove(waiter)
        if self._others:
            self._drop_outdated()

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        if self._open and signature == self._turn:
            self._close_gate()

    @property
    def charges(self) -> bool:
        return self._agents is not None or getattr(self.served, "__func__", None) is not Gated.served

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        if self._agents is not None:
            self._agents.charge(waiter, milliseconds)

    def choose(self) -> Choice | Pause | None:
        line = self._lines.get(self._turn)
        if line is not None and (self._open or line.first <= self._last_admitted):
            if self._agents is not None:
                return Choice(self._agents.first(None if self._open else self._last_admitted), "its agent's turn")
            return Choice(line.first, "admitted")
        if line is not None and self._newcomers_left > 0 and (not self._others or self._lets_in()):
            return Choice(line.first, "let in")
        if self._others:
            return Choice(self._others[0][0], "next turn")
        return None if line is None else Choice(line.first, "next turn")

    def snapshot(self, rank: Rank) -> Hashable:
        # also when no admitted request waits: one that joined a load comes back if the load fails
        gate = self._turn, self._open, rank(self._last_admitted), self._newcomers_left
        return gate if self._agents is None else (*gate, self._agents.snapshot())

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._turn, self._open, self._last_admitted, self._newcomers_left, *agents = memory
        self._rebuild()
        if self._agents is not None:
            self._agents.restore(agents[0], self._turn)

    def _lets_in(self) -> bool:
        """Return whether a newcomer may go before the waiters of other models now. A subclass can refuse it."""
        return True

    def _give_turn(self, waiter: Waiter) -> None:
        """Begin the turn of the model of ``waiter``: admit every request that waits for it now."""
        model = waiter.signature
        if model != self._turn and (before := self._lines.get(self._turn)) is not None:
            heappush(self._others, (before.first, self._turn))
        self._turn, self._open = model, waiter.is_assigned
        self._last_admitted, self._newcomers_left = self._lines[model].last, self._extra
        if self._agents is not None:
            self._agents.begin(self._turn)

    def _close_gate(self) -> None:
        """Admit what has arrived during the load, and no request after that."""
        line = self._lines.get(self._turn)
        if line is not None:
            self._last_admitted = max(self._last_admitted, line.last)
        self._open = False

    def _drop_outdated(self) -> None:
        """Remove outdated entries from the top of the heap; rebuild the heap if most entries may be outdated."""
        if len(self._others) > 64 + 4 * len(self._lines):
            self._rebuild()
        while self._others and not self._is_oldest(*self._others[0]):
            heappop(self._others)

    def _rebuild(self) -> None:
        self._others = sorted((line.first, model) for model, line in self._lines.items() if model != self._turn)

    def _is_oldest(self, ticket: int, model: str) -> bool:
        """Return whether ``ticket`` is the oldest that waits for ``model``, and ``model`` has not the turn."""
        line = self._lines.get(model)
        return model != self._turn and line is not None and line.first == ticket


POLICY: Final = NamedPolicy(Gated, "EXTRA")
