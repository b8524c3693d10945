"""Turns that are longer where switches are dear."""

from __future__ import annotations

from collections.abc import Hashable

from .gated import Gated
from .policy import Rank, Waiter

__all__ = ["CostAware"]


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
