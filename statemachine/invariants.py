"""The model with every ``always`` property looked at after each of its changes: what ``check_invariants`` switches on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from .config import ProviderManagerConfig
from .errors import InvariantError
from .events import Event
from .model import Model
from .properties import violated
from .properties.property import Step, picture

__all__ = ["Look", "Report", "complaints_of", "follow", "model_of", "watch"]

Report: TypeAlias = Callable[[InvariantError], None]
Look: TypeAlias = Callable[[Step], bool]
"""Looks at one change, and tells whether it wants to see the next."""


def model_of(config: ProviderManagerConfig, report: Report, *, record: bool = False) -> Model:
    """The model for ``config``; if ``check_invariants`` is on, ``report`` is told."""
    model = Model(config, record=record)
    if config.check_invariants:
        watch(model, report)
    return model


def complaints_of(model: Model) -> list[InvariantError]:
    """From now on ``model``, which is new, writes the first property that it violates into the list that is returned."""
    complaints: list[InvariantError] = []
    watch(model, complaints.append)
    return complaints


def watch(model: Model, report: Report) -> None:
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

    follow(model, look)


def follow(model: Model, look: Look) -> None:
    """From now on ``look`` is told of each expired deadline and each event of ``model``, which is new, as a step of its own."""
    done = False

    def followed(handler: Callable[[Any], None], event: Event) -> None:
        nonlocal done
        if done:
            handler(event)
            return
        before = picture(model)
        first = len(model._effects)
        handler(event)
        done = not look(Step(before, event, model._effects[first:], model))

    model._handlers = {kind: partial(followed, handler) for kind, handler in model._handlers.items()}
    # a step expires what is due by calling this; an Expired event from outside comes through the handlers
    model._expired = partial(followed, model._expired)  # type: ignore[method-assign]
