"""Policies that switch less than first come, first served does. Each says how often it may pass somebody over, and the checker proves it.

A *turn* is a run of requests for one model. With first come, first served on alternating requests every turn is one
request long, and every turn costs a switch. Longer turns cost fewer switches; a bound keeps them from starving the others.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Final

from .checks import check_count
from .policy import Bound, Choice, Line, Rank, Waiter

__all__ = ["Affinity", "Gated"]


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


class Gated:
    """At a switch, the requests then waiting for that model are admitted; whoever comes later waits for the next gate.

    The next gate opens for the model of the oldest waiter. ``extra`` newcomers for the model that has the turn are let in
    as well: 0 is the plain gated discipline of polling systems, but agents come back soon after they were served, and
    serving them once more before the switch saves two.

    Bound: ``late`` is ``extra``. Let a request X of another model be the first to pass over the waiter W. If X was
    admitted, W waited already when that gate opened, so all of X's model that are left out of it are younger than W and
    do not get another gate before W; if X was let in, nobody of its model was older than W, with the same effect. Either
    way only those admitted, who are known by then, and ``extra`` newcomers can follow. Raises ConfigurationError.
    """

    def __init__(self, extra: int = 0) -> None:
        check_count("extra", extra, least=0)
        self.bound: Final = Bound(passes=None, late=extra)
        self._extra: Final = extra
        self._waiting = _ByModel()
        self._model = ""  # whose turn it is
        self._last = 0  # the youngest ticket admitted
        self._left = 0  # how many more newcomers are let in

    def arrived(self, waiter: Waiter) -> None:
        self._waiting.add(waiter)

    def placed(self, waiter: Waiter) -> None:
        if waiter.signature != self._model or (waiter.ticket > self._last and self._left == 0):
            self._model, self._last = waiter.signature, self._waiting.of[waiter.signature].last
            self._left = self._extra
        elif waiter.ticket > self._last:
            self._left -= 1
        self._waiting.remove(waiter)

    def left(self, waiter: Waiter) -> None:
        self._waiting.remove(waiter)

    def choose(self) -> Choice | None:
        if not self._waiting.all:
            return None
        line = self._waiting.of.get(self._model)
        if line is not None and line.first <= self._last:
            return Choice(line.first, "admitted")
        if line is not None and self._left > 0:
            return Choice(line.first, "let in")
        return Choice(self._waiting.all.first, "next turn")

    def snapshot(self, rank: Rank) -> Hashable:
        return (
            self._model,
            rank(self._last),
            self._left,
        )  # also when the turn seems over: an admitted joiner may come back

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._model, self._last, self._left = memory


class Affinity:
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
