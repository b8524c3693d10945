"""The production model, with every named property looked at after every change: each expired deadline, and each event, by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..events import Event
from ..model import Model
from ..properties import Step, picture, violated

__all__ = ["checked"]


def checked(model: Model) -> list[str]:
    """From now on ``model``, which is new, writes what it violates into the list that is returned.

    It never raises because of it: a driver that is cut short in mid-step would only show more.
    """
    complaints: list[str] = []

    def watched(handler: Callable[[Any], None], event: Event) -> None:
        before = picture(model)
        first = len(model._effects)
        handler(event)
        step = Step(before, event, model._effects[first:], model)
        complaints.extend(f"{p.name} after {event}: {p.sentence}" for p in violated(step))

    model._handlers = {kind: partial(watched, handler) for kind, handler in model._handlers.items()}
    # a step expires what is due by calling this; a handler for an Expired event is watched already
    model._expired = partial(watched, model._expired)  # type: ignore[method-assign]
    return complaints
