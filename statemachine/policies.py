"""Policies that switch less than first come, first served does. Each says how often it may pass somebody over, and the checker proves it.

A *turn* is a run of requests for one model. With first come, first served on alternating requests every turn is one
request long, and every turn costs a switch. Longer turns cost fewer switches; a bound keeps them from starving the others.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final

from .checks import check_count
from .policy import BasePolicy, Bound, Choice, Line, Rank, Waiter

__all__ = ["Affinity", "CostAware", "Gated"]


class _ByModel:
    """All waiters in one line, and each model's in a line of its own."""

    def __init__(self) -> None:
        self.all = Line()
        self.of: dict[str, Line] = {}

    def add(self, waiter: Waiter) -> None:
        self.all.add(waiter)
        self.of.setdefault(waiter.signature, Line()).add(waiter)

    def remove(self, waiter: Waiter) -> None:
        self.all.remove(waiter)
        line = self.of[waiter.signature]
        line.remove(waiter)
        if not line:
            del self.of[waiter.signature]


class Gated(BasePolicy):
    """Whoever waits for a model when it has been loaded is admitted; whoever comes later waits for its next gate.

    The next gate opens for the oldest waiter of another model, if there is one. ``extra`` newcomers for the model that has the turn are
    let in as well: 0 is the plain gated discipline of polling systems, but agents come back soon after they were served, and
    serving them once more before the switch saves some, at the cost of those who wait.

    Bound: ``late`` is ``extra``. Let X, of another model, be the first to pass over the waiter W and to be granted its lease. By then
    the gate for X's model is closed: those who were admitted are known, and ``extra`` newcomers may follow. Those left out of it are
    younger than W, because W waited already or because they came after X, so when that turn is over, W is older
    than all of that model, and its next gate opens after W's. Raises ConfigurationError.
    """

    def __init__(self, extra: int = 0) -> None:
        check_count("extra", extra, least=0)
        self.bound: Final = Bound(passes=None, late=extra)
        self._extra = extra
        self._lines: dict[str, Line] = {}
        self._model = ""  # whose turn it is
        self._others: list[tuple[int, str]] = []  # heap of the other lines' oldest tickets; what is on top is true
        self._open = False  # its gate is open, because it is still to be loaded
        self._last = 0  # the youngest ticket admitted
        self._left = 0  # how many more newcomers are let in

    def arrived(self, waiter: Waiter) -> None:
        line = self._lines.setdefault(waiter.signature, Line())
        line.add(waiter)
        if waiter.signature != self._model and line.first == waiter.ticket:
            heappush(self._others, (waiter.ticket, waiter.signature))

    def placed(self, waiter: Waiter) -> None:
        if waiter.signature != self._model or not (self._open or waiter.ticket <= self._last or self._left):
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
        elif waiter.signature != self._model and waiter.ticket < line.first:
            heappush(self._others, (line.first, waiter.signature))
        self._look()

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        if signature == self._model:
            self._close_gate()

    def choose(self) -> Choice | None:
        line = self._lines.get(self._model)
        if line is not None and (self._open or line.first <= self._last):
            return self._next_admitted(line)
        if line is not None and self._left > 0:
            return Choice(line.first, "let in")
        if self._others:
            return Choice(self._others[0][0], "next turn")
        return None if line is None else Choice(line.first, "next turn")

    def snapshot(self, rank: Rank) -> Hashable:
        # also when the turn seems over: an admitted joiner may come back
        return self._model, self._open, rank(self._last), self._left

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._model, self._open, self._last, self._left = memory
        self._rebuild()

    @property
    def extra(self) -> int:
        """How many newcomers are let in, if a turn begins now."""
        return self._extra

    def _next_admitted(self, line: Line) -> Choice:
        return Choice(line.first, "admitted")

    def _give_turn(self, waiter: Waiter) -> None:
        before = self._lines.get(self._model)
        if before is not None:
            heappush(self._others, (before.first, self._model))
        self._model, self._open = waiter.signature, waiter.is_assigned
        self._last, self._left = self._lines[waiter.signature].last, self.extra
        self._look()

    def _close_gate(self) -> None:
        if self._open and self._model in self._lines:
            self._last = max(self._last, self._lines[self._model].last)
        self._open = False

    def _look(self) -> None:
        """Drop what is not true any more from the top of the heap, or everywhere if there is much of it."""
        if len(self._others) > 64 + 4 * len(self._lines):
            self._rebuild()
        while self._others and not self._is_oldest(*self._others[0]):
            heappop(self._others)

    def _rebuild(self) -> None:
        self._others = sorted((line.first, model) for model, line in self._lines.items() if model != self._model)

    def _is_oldest(self, ticket: int, model: str) -> bool:
        line = self._lines.get(model)
        return model != self._model and line is not None and line.first == ticket


class Affinity(BasePolicy):
    """The model that was served last goes first, until the oldest waiter has been passed over ``passes`` times.

    Bound: ``passes``. A request that passes over some waiter passes over the oldest one too, so nobody is passed over more
    often than the oldest, and that is served as soon as its count is full.
    """

    def __init__(self, passes: int = 16) -> None:
        check_count("passes", passes, least=0)
        self.bound: Final = Bound(passes=passes, late=None)
        self._passes: Final = passes
        self._waiting = _ByModel()
        self._model = ""  # served last
        self._ahead: list[int] = []  # heap of the placed tickets that are younger than the oldest waiter

    def arrived(self, waiter: Waiter) -> None:
        self._waiting.add(waiter)

    def placed(self, waiter: Waiter) -> None:
        self._model = waiter.signature
        heappush(self._ahead, waiter.ticket)
        self.left(waiter)

    def left(self, waiter: Waiter) -> None:
        self._waiting.remove(waiter)
        everyone = self._waiting.all
        while self._ahead and not (everyone and self._ahead[0] > everyone.first):
            heappop(self._ahead)

    def choose(self) -> Choice | None:
        if not self._waiting.all:
            return None
        line = self._waiting.of.get(self._model)
        if line is None or len(self._ahead) >= self._passes:
            return Choice(self._waiting.all.first, "oldest")
        return Choice(line.first, "same model")

    def snapshot(self, rank: Rank) -> Hashable:
        return self._model, tuple(sorted(map(rank, self._ahead)))

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._model, ahead = memory
        self._ahead = list(ahead)  # sorted, and so a heap


class CostAware(Gated):
    """Gated, with as many newcomers let in as a switch is worth by what it has seen of switches and answers. An experiment.

    While a switch takes no longer than an answer, nobody is let in; twice as long: one; four times: two; and ``most`` at most. How
    long they take is remembered as two levels, powers of two of a millisecond, which move by one at a time towards what is seen: a
    single odd one changes little. It never idles for a request that has not come. Bound: ``late`` is ``most``. Raises ConfigurationError.
    """

    def __init__(self, most: int = 4) -> None:
        super().__init__(most)
        self._switch = self._answer = 0

    @property
    def extra(self) -> int:
        return min(self._extra, (1 << max(0, self._switch - self._answer)) // 2)

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        super().loaded(signature, milliseconds)
        if milliseconds is not None:
            self._switch = _towards(self._switch, milliseconds)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        self._answer = _towards(self._answer, milliseconds)

    def snapshot(self, rank: Rank) -> Hashable:
        return super().snapshot(rank), self._switch, self._answer

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        gate, self._switch, self._answer = memory
        super().restore(gate)


def _towards(level: int, milliseconds: int) -> int:
    seen = milliseconds.bit_length()
    return level + (seen > level) - (seen < level)
