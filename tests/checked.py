"""The production model, with every named property looked at after every change: each expired deadline, and each event, by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from statemachine import ProviderManager, ProviderManagerConfig
from statemachine.events import Event, Expired
from statemachine.model import Model
from statemachine.properties import Step, picture, violated

__all__ = ["CheckedModel", "checked", "complaints"]


class CheckedModel(Model):
    """A Model that notes what it violates. It never raises by itself: a driver that is cut short in mid-step would only show more."""

    def __init__(self, config: ProviderManagerConfig, *, record: bool = False) -> None:
        super().__init__(config, record=record)
        self.complaints: list[str] = []
        self._handlers = {kind: partial(self._watched, handler) for kind, handler in self._handlers.items()}

    def _expired(self, event: Expired) -> None:
        # A step expires what is due by calling this; a handler for an Expired event is watched by _handlers already.
        self._watched(super()._expired, event)

    def _watched(self, handler: Callable[[Any], None], event: Event) -> None:
        before = picture(self)
        first = len(self._effects)
        handler(event)
        step = Step(before, event, self._effects[first:], self)
        self.complaints += [f"{p.name} after {event}: {p.sentence}" for p in violated(step)]


def checked(manager: ProviderManager) -> ProviderManager:
    """``manager``, not entered yet, with its model replaced by one that is checked."""
    manager._model = CheckedModel(manager.config, record=bool(manager._observers))
    return manager


def complaints(manager: ProviderManager) -> list[str]:
    """What the checked model of ``manager`` has violated so far."""
    assert isinstance(manager._model, CheckedModel)
    return manager._model.complaints
