"""The model with every ``always`` property looked at after each of its changes: what ``check_invariants`` switches on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from ..config.providers import ProviderManagerConfig
from ..core.coordinator import Coordinator
from ..core.events import Event
from ..errors import InvariantError
from . import violated
from .property import Step, picture

__all__ = ["Look", "Report", "complaints_of", "coordinator_of", "follow", "watch"]

Report: TypeAlias = Callable[[InvariantError], None]
Look: TypeAlias = Callable[[Step], bool]
"""Looks at one change, and tells whether it wants to see the next."""


def coordinator_of(config: ProviderManagerConfig, report: Report, *, record: bool = False) -> Coordinator:
    """The model for ``config``; if ``check_invariants`` is on, ``report`` is told."""
    coordinator = Coordinator(config, record=record)
    if config.check_invariants:
        watch(coordinator, report)
    return coordinator


def complaints_of(coordinator: Coordinator) -> list[InvariantError]:
    """From now on ``model``, which is new, writes the first property that it violates into the list that is returned."""
    complaints: list[InvariantError] = []
    watch(coordinator, complaints.append)
    return complaints


def watch(coordinator: Coordinator, report: Report) -> None:
    """From now on ``model``, which is new, looks at itself after each expired deadline and each event: several times the price of a step.

    ``report`` is called with the first property that does not hold; what comes after that is not looked at. It is called in mid-step, so
    whoever wants the step's effects carried out must not raise in it.
    """
    changes = 0

    def look(step: Step) -> bool:
        nonlocal changes
        changes += 1
        for violation in violated(step):
            report(InvariantError(violation.name, violation.sentence, changes, str(step.event)))
            return False
        return True

    follow(coordinator, look)


def follow(coordinator: Coordinator, look: Look) -> None:
    """From now on ``look`` is told of each expired deadline and each event of ``model``, which is new, as a step of its own."""
    done = False

    def followed(handler: Callable[[Any], None], event: Event) -> None:
        nonlocal done
        if done:
            handler(event)
            return
        before = picture(coordinator)
        first = len(coordinator._effects)
        handler(event)
        done = not look(Step(before, event, coordinator._effects[first:], coordinator))

    coordinator._handlers = {kind: partial(followed, handler) for kind, handler in coordinator._handlers.items()}
    # a step expires what is due by calling this; an Expired event from outside comes through the handlers
    coordinator._expired = partial(followed, coordinator._expired)  # type: ignore[method-assign]
