"""The production model, with every named property looked at after every change, and complaints noted instead of raised."""

from __future__ import annotations

from statemachine import InvariantError, ProviderManager, ProviderManagerConfig
from statemachine.invariants import CheckedModel

__all__ = ["NotingModel", "checked", "complaints"]


class NotingModel(CheckedModel):
    """A CheckedModel that notes what it violates first."""

    def __init__(self, config: ProviderManagerConfig, *, record: bool = False) -> None:
        self.complaints: list[InvariantError] = []
        super().__init__(config, self.complaints.append, record=record)


def checked(manager: ProviderManager) -> ProviderManager:
    """``manager``, not entered yet, with its model replaced by one that is checked."""
    manager._model = NotingModel(manager.config, record=bool(manager._observers))
    return manager


def complaints(manager: ProviderManager) -> list[InvariantError]:
    """What the checked model of ``manager`` has violated."""
    assert isinstance(manager._model, NotingModel)
    return manager._model.complaints
