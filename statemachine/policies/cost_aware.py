"""Gated service with longer turns and brief pauses where switches are expensive, while no request has waited long."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ..checks import check_count
from .gated import Gated
from .policy import Choice, NamedPolicy, Pause, Rank, Waiter

__all__ = ["POLICY", "CostAware"]

_OCTAVE: Final = 4  # levels
_EXPENSIVE: Final = 8  # levels: a switch is expensive when it takes about four times as long as an answer
_SHARE: Final = 3  # a turn is stretched up to this part of the longest wait: a third
_FORGETTING: Final = 13  # with each request the longest wait shrinks by its 2**13th part


class CostAware(Gated):
    """Gated service that stretches a turn where that is worth it: switches are expensive, and no other request has waited long.

    A switch is *expensive* if it takes about four times as long as an answer or longer. No request has waited *long* while the oldest
    waiter for another model has waited for less than a third of the longest recent wait. Both given, up to ``most`` newcomers are served
    in the same turn. When no request for the model is left, the policy asks for a *pause*: keep the model for a while, because an agent
    that was just served may ask again. The pause is as long as a switch, or half of that. So a pause in vain costs no more than the
    switch that follows (the ski rental problem; Karlin and others, *Competitive snoopy caching*, Algorithmica 3, 1988). There is at most
    one pause after each answer.

    The policy has no clock. It is told how long loads, answers and pauses took, and adds these up to measure waits. The usual duration of
    loads and of answers is kept as a *level*: four levels are a factor of two. With each observation the level moves by one towards what
    was observed, so it stays near the median, and a single outlier changes little. The longest wait shrinks slowly, by half in six
    thousand requests, to a minimum of eight seconds. Deadlines are not known to the policy: a pause may keep a request waiting that has a
    time-out.

    Bound: ``late`` is ``most``, as of Gated. ``quantum``: as of Gated. Raises ConfigurationError.
    """

    work_conserving = False

    def __init__(self, most: int = 8, quantum: int | None = None) -> None:
        check_count("most", most, least=0)
        super().__init__(most, quantum)
        self._switch = self._answer = 0  # levels of loads and of answers; 0: not observed yet
        self._clock = 0  # milliseconds, the sum of what was told
        self._since: dict[int, int] = {}  # on that clock, when each waiter arrived, by ticket
        self._longest = 0  # milliseconds, of the longest recent wait
        self._may_pause = False  # whether there was no pause since the last answer

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
        if self._may_pause and self._newcomers_left and self._others and self._turn not in self._lines:
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
        """Return whether the oldest waiter of another model may wait for ``milliseconds`` more."""
        wait = self._clock - self._since[self._others[0][0]]
        return self._switch - self._answer >= _EXPENSIVE and _SHARE * (wait + milliseconds) < self._longest


def _towards(level: int, milliseconds: int) -> int:
    seen = (milliseconds**_OCTAVE).bit_length()
    return level + (seen > level) - (seen < level) if level else seen


POLICY: Final = NamedPolicy(CostAware, "MOST")
