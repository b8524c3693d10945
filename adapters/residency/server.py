"""A server that holds models in memory, as a residency sees it: four verbs, which an author writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

__all__ = ["ALREADY_RUNNING", "ModelServer", "Resident", "by_id", "different"]

ALREADY_RUNNING: Final = "model_already_running"
"""The code of the refusal to load what is loaded, or being loaded."""


@dataclass(frozen=True, slots=True)
class Resident:
    """One model in a server's memory, or on its way there or out, or a load that has failed.

    ``id`` is the name to call and to unload it by, ``model`` the model it is an instance of. ``config`` is what the server tells of
    its configuration, under the names that are asked for; nothing that changes by itself, such as a remaining time. ``reason`` is
    why it failed.
    """

    id: str
    model: str
    state: Literal["loading", "loaded", "unloading", "failed"] = "loaded"
    config: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


class ModelServer(Protocol):
    """A server as a residency sees it. Every method but ``fits`` may raise AdapterError.

    ``load``: any answer that certainly means "not loaded" must be a ModelLoadError, a ModelNotFoundError or another AdapterRequestError.
    ``unload``: what is not loaded any more is fine.
    """

    async def list(self) -> Sequence[Resident]: ...

    async def load(self) -> str | None: ...

    async def unload(self, resident_id: str) -> None: ...

    def fits(self, resident: Resident) -> bool: ...


def by_id(rows: Sequence[Resident], resident_id: str) -> Resident | None:
    """Return the one of that id."""
    return next((row for row in rows if row.id == resident_id), None)


def different(config: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return what ``config`` has otherwise. What the server does not tell is no difference: of some it tells little."""
    return [name for name, value in wanted.items() if config.get(name, value) != value]
