"""A schedule as a value: the list of its deviations from the natural order.

The *natural order* is first come, first served, one step of one task at a time. A tape says at which steps a task is delayed: the
deviation ``(step, offset)`` sends, before the ``step``-th step of the run, the first ``offset`` tasks of the queue to its back. In a
tape's text it is written as ``step+offset``: ``17+1,40+2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["NATURAL", "Tape"]

_ONE: Final = re.compile(r"(\d+)\+(\d+)")


class Tape:
    """Deviations from the natural order, sorted by step. Tapes compare and hash by value; ``str`` gives the text for :meth:`parse`."""

    __slots__ = ("_offsets",)

    def __init__(self, deviations: Iterable[tuple[int, int]] = ()) -> None:
        offsets = dict(deviations)
        if any(step < 1 or offset < 0 for step, offset in offsets.items()):
            raise ValueError("steps are counted from 1, offsets from 0")
        self._offsets = {step: offset for step, offset in sorted(offsets.items()) if offset}

    @classmethod
    def parse(cls, text: str) -> Tape:
        """Return the tape with this text. Raises ValueError."""
        if text == "natural":
            return NATURAL
        matches = [_ONE.fullmatch(one) for one in text.split(",")]
        if not all(matches):
            raise ValueError(f"{text!r} is not a tape such as '17+1,40+2' or 'natural'")
        return cls((int(m[1]), int(m[2])) for m in matches if m)

    def choose(self, step: int, ready: tuple[int, ...]) -> int:
        """Return the offset at ``step``, see :class:`.running.Schedule`."""
        return self._offsets.get(step, 0)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._offsets.items())

    def __len__(self) -> int:
        return len(self._offsets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tape) and self._offsets == other._offsets

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __str__(self) -> str:
        return ",".join(f"{step}+{offset}" for step, offset in self) or "natural"

    def __repr__(self) -> str:
        return f"Tape.parse({str(self)!r})"


NATURAL: Final = Tape()
