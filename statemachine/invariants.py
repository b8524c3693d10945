"""The model with every ``always`` property looked at after each of its changes: what ``check_invariants`` switches on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from .config import ProviderManagerConfig
from .errors import InvariantError
from .events import Event, Expired
from .model import Model
from .properties import violated
from .property import Step, picture

__all__ = ["CheckedModel", "Report", "model_of"]

Report: TypeAlias = Callable[[InvariantError], None]


def model_of(config: ProviderManagerConfig, report: Report, *, record: bool = False) -> Model:
    """The model for ``config``: one that ``report`` is told of if ``check_invariants`` is on, and otherwise no more than the model."""
    return CheckedModel(config, report, record=record) if config.check_invariants else Model(config, record=record)


class CheckedModel(Model):
    """A Model that looks at itself: after each expired deadline, and after each event. That takes several times as long as the step.

    ``report`` is called with the first property that does not hold; what comes after that is not looked at. It is called in mid-step, so
    whoever wants the step's effects carried out must not raise in it.
    """

    def __init__(self, config: ProviderManagerConfig, report: Report, *, record: bool = False) -> None:
        super().__init__(config, record=record)
        self._report = report
        self._changes = 0
        self._broken = False
        self._handlers = {kind: partial(self._watched, handler) for kind, handler in self._handlers.items()}

    def _expired(self, event: Expired) -> None:
        # A step expires what is due by calling this; only an Expired event from outside comes through _handlers.
        self._watched(super()._expired, event)

    def _watched(self, handler: Callable[[Any], None], event: Event) -> None:
        if self._broken:
            handler(event)
            return
        before = picture(self)
        first = len(self._effects)
        handler(event)
        self._changes += 1
        for broken in violated(Step(before, event, self._effects[first:], self)):
            self._broken = True
            self._report(InvariantError(broken.name, broken.sentence, self._changes, str(event)))
            return
