"""LM Studio's two lists of models, and what they say of what is in memory.

``/api/v1/models`` (0.4 and later) has a row a model, with its loaded instances. ``/api/v0/models`` (0.3.6 and later) has a row an
instance, the second of ``key`` with the id ``key:2``, and a state. What an instance is, its own id tells before the row does: the
row's variant is the one that would be loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..residency import Resident

__all__ = ["can_chat", "names_of", "residents_v0", "residents_v1", "selected_variant"]

_COPY_NUMBER: Final = re.compile(r":\d+\Z")


def residents_v1(rows: Sequence[Mapping[str, Any]]) -> Iterator[Resident]:
    """Yield the loaded instances of models that can chat."""
    for row in filter(can_chat, rows):
        for instance in _instances(row.get("loaded_instances")):
            instance_id, config = instance.get("id"), instance.get("config")
            if isinstance(instance_id, str):
                model = _model(instance_id, row)
                yield Resident(instance_id, model, "loaded", config if isinstance(config, Mapping) else {})


def residents_v0(rows: Sequence[Mapping[str, Any]]) -> Iterator[Resident]:
    """Yield the same of the older list. Any state but ``loaded`` is not ready."""
    for row in filter(can_chat, rows):
        instance_id, length = row.get("id"), row.get("loaded_context_length")
        if row.get("state") == "loaded" and isinstance(instance_id, str):
            config = {} if length is None else {"context_length": length}
            yield Resident(instance_id, _COPY_NUMBER.sub("", instance_id), "loaded", config)


def names_of(resident: Resident) -> frozenset[str]:
    """Return the model ids that a resident answers to: its id, its model, and its model whatever the variant."""
    return frozenset({resident.id, resident.model, resident.model.partition("@")[0]})


def can_chat(row: Mapping[str, Any]) -> bool:
    """Return whether a row is a model that generates text: an embedding model is none."""
    kind = row.get("type")
    return not (isinstance(kind, str) and kind.lower().startswith("embedding"))


def selected_variant(rows: Sequence[Mapping[str, Any]], key: str) -> str | None:
    """Return the variant that a load of ``key`` brings, where the list tells."""
    for row in rows:
        if row.get("key") == key and isinstance(variant := row.get("selected_variant"), str):
            return variant
    return None


def _model(instance_id: str, row: Mapping[str, Any]) -> str:
    """Return what an instance is, with its variant where that is known: by its id, else the selected one."""
    own = _COPY_NUMBER.sub("", instance_id)
    key, selected = row.get("key"), row.get("selected_variant")
    if not isinstance(key, str):
        return own
    if own.partition("@")[0] == key and own != key:
        return own
    return selected if isinstance(selected, str) and selected.partition("@")[0] == key else key


def _instances(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield the instances in a list of them. One that is told by its id alone is one, too."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, (str, Mapping)):
            yield {"id": item} if isinstance(item, str) else item
