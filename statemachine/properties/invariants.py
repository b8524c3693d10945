"""Watches for a coordinator: every change as a :class:`Step`, and every ``always`` property evaluated on it.

This is what ``check_invariants`` switches on. ``Coordinator(config, watch=...)`` takes the result of either function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..core.coordinator import Coordinator, Watch
from ..core.events import Effect, Event
from ..errors import InvariantError
from . import violated
from .property import Step, picture

__all__ = ["Look", "Report", "checking", "looking", "watch_invariants"]

Report: TypeAlias = Callable[[InvariantError], None]
Look: TypeAlias = Callable[[Step], bool]
"""Looks at one change. Returns whether it wants to see the next one."""


def checking(report: Report) -> Look:
    """Evaluate every ``always`` property on each change: several times the price of a step.

    ``report`` is called with the first violation, and nothing is evaluated after it. It is called in mid-step, so it must not raise
    where the effects of the step have to be carried out.
    """
    changes = 0

    def look(step: Step) -> bool:
        nonlocal changes
        changes += 1
        for violation in violated(step):
            report(InvariantError(violation.name, violation.sentence, changes, str(step.event)))
            return False
        return True

    return look


def looking(*looks: Look) -> Watch:
    """A watch that shows each change to ``looks``: each event, and each deadline that expires before it, as a step of its own."""
    active = list(looks)

    def watch(coordinator: Coordinator, event: Event) -> Callable[[list[Effect]], None] | None:
        if not active:
            return None
        before = picture(coordinator)

        def after(effects: list[Effect]) -> None:
            step = Step(before, event, effects, coordinator)
            active[:] = [look for look in active if look(step)]

        return after

    return watch


def watch_invariants(report: Report) -> Watch:
    """The watch of ``check_invariants``: ``report`` is called with the first property that does not hold."""
    return looking(checking(report))
