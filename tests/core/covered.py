"""What an attack covers: told of every change of a recording coordinator, and told to Hypothesis as what to strive for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Final

from hypothesis import target

from statemachine.checking.coverage import (
    IMPOSSIBLE,
    Fired,
    Last,
    Pair,
    covered_by,
    every_pair,
    every_transition,
    split,
)
from statemachine.checking.decisions import Branch, every_branch
from statemachine.properties.property import Step

__all__ = ["EVERYTHING", "Covered", "as_names", "by_names"]

EVERYTHING: Final[tuple[Hashable, ...]] = (*every_transition(), *every_pair(), *every_branch())
_BY_NAME: Final = {str(one): one for one in EVERYTHING}
_GOALS: Final = {"transitions": Fired, "pairs of transitions": Pair, "outcomes of decisions": Branch}


class Covered:
    """Of one example."""

    def __init__(self) -> None:
        self.fired: Counter[Hashable] = Counter()
        self._last: Last = {}

    def look(self, step: Step) -> bool:
        """Write down what ``step`` covers. Always true: the next one counts as well."""
        _, fired = split(step.effects)
        self._last, covered = covered_by(step, fired, self._last)
        self.fired.update(covered)
        return True

    def aim(self) -> None:
        """The end of the example: the more it has covered, the better. Nothing that is said to be impossible may be there."""
        assert self.fired.keys().isdisjoint(IMPOSSIBLE)
        assert self.fired.keys() <= _BY_NAME.keys() | set(EVERYTHING)
        for label, kind in _GOALS.items():
            target(sum(isinstance(one, kind) for one in self.fired), label=label)


def as_names(fired: Counter[Hashable]) -> dict[str, int]:
    """For a file, in the order of the machines."""
    return {name: fired[one] for name, one in _BY_NAME.items() if one in fired}


def by_names(names: dict[str, int]) -> Counter[Hashable]:
    """What :func:`as_names` has written."""
    return Counter({_BY_NAME[name]: times for name, times in names.items()})
