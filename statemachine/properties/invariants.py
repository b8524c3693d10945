"""Watch a coordinator: see every change as a :class:`Step`, and evaluate every ``always`` property on it.

``check_invariants`` switches this on. ``Coordinator(config, watch=...)`` takes the result of :func:`looking` or :func:`watch_invariants`.
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
"""A function that looks at one change, and returns whether it wants to see the next one."""


def checking(report: Report) -> Look:
    """Return a look that evaluates every ``always`` property on each change. This costs several times as much as the step.

    ``report`` is called with the first violation, and nothing is evaluated after it. It is called in the middle of a step, so it must not
    raise where the effects of the step still have to be carried out.
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
    """Return a watch that shows each change to ``looks``. An event and each deadline that expires before it are steps of their own."""
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
    """Return the watch of ``check_invariants``, which calls ``report`` with the first property that does not hold."""
    return looking(checking(report))
