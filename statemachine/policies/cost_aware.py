"""Longer turns where switches are expensive, while no request has waited long; and brief pauses."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ..checks import check_count
from .gated import Gated
from .policy import Choice, Pause, Rank, Waiter

__all__ = ["CostAware"]

_OCTAVE: Final = 4  # levels
_EXPENSIVE: Final = 8  # levels: a switch is expensive when it takes about four times as long as an answer
_SHARE: Final = 3  # of the longest wait one part may be had by stretching
_FORGETTING: Final = 13  # binary digits


class CostAware(Gated):
    """Gated; but where a switch takes about four times as long as an answer or longer, turns are stretched while no request has waited
    long.

    That is: while the oldest waiter for another model has waited for less than a third of the longest wait lately. ``most`` newcomers
    are let in then. When no request for the model is left, it is kept for a while, because an agent that was served may soon be
    back: for as long as a switch takes, or half of that, so in vain it costs no more than the switch that follows (the ski rental
    problem; Karlin and others, *Competitive snoopy caching*, Algorithmica 3, 1988). There is one pause at most after each answer.

    It learns by being told how long loads, answers and pauses have taken: in their sum waits are measured. What is usual of loads and
    answers is remembered as a level, a quarter of a power of two of a millisecond, which moves by one at a time towards what is seen:
    about the median, and a single odd one changes little. The longest wait is forgotten slowly: half of it after six thousand requests,
    down to eight seconds, which stay. It knows no deadlines: who waits with a time-out may be kept waiting by a pause as well.

    Bound: ``late`` is ``most``, as of Gated. ``quantum``: as there. Raises ConfigurationError.
    """

    work_conserving = False

    def __init__(self, most: int = 8, quantum: int | None = None) -> None:
        check_count("most", most, least=0)
        super().__init__(most, quantum)
        self._switch = self._answer = 0  # levels; 0: not seen yet
        self._clock = 0  # milliseconds
        self._since: dict[int, int] = {}  # when each waiter came, by its ticket
        self._longest = 0  # milliseconds that one has waited
        self._may_pause = False  # no pause since an agent was answered

    def arrived(self, waiter: Waiter) -> None:
        super().arrived(waiter)
        self._since[waiter.ticket] = self._clock

    def placed(self, waiter: Waiter) -> None:
        wait = self._clock - self._since[waiter.ticket]
        self._longest = max(wait, self._longest - ((self._longest - wait) >> _FORGETTING))
        super().placed(waiter)

    def left(self, waiter: Waiter) -> None:
        super().left(waiter)
        del self._since[waiter.ticket]

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        super().loaded(signature, milliseconds)
        if milliseconds is not None:
            self._switch = _towards(self._switch, milliseconds)
            self._clock += milliseconds

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        super().served(waiter, milliseconds)
        self._answer = _towards(self._answer, milliseconds)
        self._clock += milliseconds
        self._may_pause = True

    def paused(self, milliseconds: int) -> None:
        self._clock += milliseconds
        self._may_pause = False

    def choose(self) -> Choice | Pause | None:
        if self._may_pause and self._left and self._others and self._turn not in self._lines:
            pause = 1 << max(0, (self._switch - 1) // _OCTAVE)
            if self._may_stretch(pause):
                return Pause(self._turn, pause, "its agents may come back")
        return super().choose()

    def snapshot(self, rank: Rank) -> Hashable:
        waits = tuple([self._clock - self._since[ticket] for ticket in sorted(self._since)])
        return super().snapshot(rank), self._switch, self._answer, waits, self._longest, self._may_pause

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        gate, self._switch, self._answer, waits, self._longest, self._may_pause = memory
        super().restore(gate)
        self._since = {ticket: self._clock - wait for ticket, wait in zip(sorted(self._since), waits, strict=True)}

    def _give_turn(self, waiter: Waiter) -> None:
        super()._give_turn(waiter)
        self._may_pause = False

    def _lets_in(self) -> bool:
        return self._may_stretch(0)

    def _may_stretch(self, milliseconds: int) -> bool:
        """Whether the oldest of the others may be made to wait for so long."""
        wait = self._clock - self._since[self._others[0][0]]
        return self._switch - self._answer >= _EXPENSIVE and _SHARE * (wait + milliseconds) < self._longest


def _towards(level: int, milliseconds: int) -> int:
    seen = (milliseconds**_OCTAVE).bit_length()
    return level + (seen > level) - (seen < level) if level else seen
