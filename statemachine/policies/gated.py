"""Gated service: the requests that wait for a model when it has been loaded are served, and then another model has its turn."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final

from ..checks import check_count
from .line import Line
from .policy import BasePolicy, Bound, Choice, Pause, Rank, Waiter
from .round_robin import RoundRobin

__all__ = ["Gated"]


class Gated(BasePolicy):
    """Admit the requests that wait for a model when it has been loaded; later ones wait for its next gate.

    The next gate opens for the oldest waiter of another model, if there is one. ``extra`` newcomers for the model that has the turn are
    let in as well: 0 is the plain gated discipline of polling systems, but agents come back soon after they were served, and
    serving them once more before the switch saves some, at the cost of the requests that wait.

    Bound: ``late`` is ``extra``. Let X, of another model, be the first to pass over the waiter W and to be granted its lease. By then
    the gate for X's model is closed: those who were admitted are known, and ``extra`` newcomers may follow. Those left out of it are
    younger than W, because W waited already or because they came after X, so when that turn is over, W is older
    than all of that model, and its next gate opens after W's.

    With a ``quantum`` the agent that has been served least goes first among those admitted (:class:`.round_robin.RoundRobin`); else the
    oldest. The bound is the same: for a request's own model too only those admitted with it can pass it over. Raises ConfigurationError.
    """

    def __init__(self, extra: int = 0, quantum: int | None = None) -> None:
        check_count("extra", extra, least=0)
        self.bound: Final = Bound(passes=None, late=extra)
        self._extra = extra
        self._lines: dict[str, Line] = {}
        self._turn = ""  # whose turn it is
        self._others: list[tuple[int, str]] = []  # heap of the other lines' oldest tickets; what is on top is true
        self._open = False  # its gate is open, because it is still to be loaded
        self._last = 0  # the youngest ticket admitted
        self._left = 0  # how many more newcomers are let in
        self._agents = None if quantum is None else RoundRobin(quantum)

    def arrived(self, waiter: Waiter) -> None:
        line = self._lines.setdefault(waiter.signature, Line())
        line.add(waiter)
        if waiter.signature != self._turn and line.first == waiter.ticket:
            heappush(self._others, (waiter.ticket, waiter.signature))
        if self._agents is not None:
            self._agents.add(waiter)

    def placed(self, waiter: Waiter) -> None:
        if waiter.signature != self._turn or not (self._open or waiter.ticket <= self._last or self._left):
            self._give_turn(waiter)
        elif self._open:
            self._last = max(self._last, waiter.ticket)
        elif waiter.ticket > self._last:
            self._left -= 1
        if not waiter.is_assigned:
            self._close_gate()
        self.left(waiter)

    def left(self, waiter: Waiter) -> None:
        line = self._lines[waiter.signature]
        line.remove(waiter)
        if not line:
            del self._lines[waiter.signature]
        elif waiter.signature != self._turn and waiter.ticket < line.first:
            heappush(self._others, (line.first, waiter.signature))
        if self._agents is not None:
            self._agents.remove(waiter)
        self._look()

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        if signature == self._turn:
            self._close_gate()

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        if self._agents is not None:
            self._agents.charge(waiter, milliseconds)

    def choose(self) -> Choice | Pause | None:
        line = self._lines.get(self._turn)
        if line is not None and (self._open or line.first <= self._last):
            if self._agents is not None:
                return Choice(self._agents.first(None if self._open else self._last), "its agent's turn")
            return Choice(line.first, "admitted")
        if line is not None and self._left > 0 and (not self._others or self._lets_in()):
            return Choice(line.first, "let in")
        if self._others:
            return Choice(self._others[0][0], "next turn")
        return None if line is None else Choice(line.first, "next turn")

    def snapshot(self, rank: Rank) -> Hashable:
        # also when the turn seems over: an admitted joiner may come back
        gate = self._turn, self._open, rank(self._last), self._left
        return gate if self._agents is None else (*gate, self._agents.snapshot())

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._turn, self._open, self._last, self._left, *agents = memory
        self._rebuild()
        if self._agents is not None:
            self._agents.restore(agents[0], self._turn)

    def _lets_in(self) -> bool:
        """Whether newcomers go before the others, while ``extra`` allows it."""
        return True

    def _give_turn(self, waiter: Waiter) -> None:
        before = self._lines.get(self._turn)
        if before is not None:
            heappush(self._others, (before.first, self._turn))
        self._turn, self._open = waiter.signature, waiter.is_assigned
        self._last, self._left = self._lines[waiter.signature].last, self._extra
        if self._agents is not None:
            self._agents.begin(self._turn)

    def _close_gate(self) -> None:
        if self._open and self._turn in self._lines:
            self._last = max(self._last, self._lines[self._turn].last)
        self._open = False

    def _look(self) -> None:
        """Drop what is not true any more from the top of the heap, or everywhere if there is much of it."""
        if len(self._others) > 64 + 4 * len(self._lines):
            self._rebuild()
        while self._others and not self._is_oldest(*self._others[0]):
            heappop(self._others)

    def _rebuild(self) -> None:
        self._others = sorted((line.first, model) for model, line in self._lines.items() if model != self._turn)

    def _is_oldest(self, ticket: int, model: str) -> bool:
        line = self._lines.get(model)
        return model != self._turn and line is not None and line.first == ticket
