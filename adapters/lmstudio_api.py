"""LM Studio's lifecycle endpoints: which instances are loaded, load one, unload one.

LM Studio documents ``/api/v1`` (0.4 and later). Some of its builds list no instance there though there are some, while the older
``/api/v0`` shows them; so what is loaded is what either of them shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from statemachine.errors import (
    AdapterProtocolError,
    AdapterRequestError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
)

from .http_client import HttpClient

__all__ = ["LMStudioApi", "LoadedInstance"]

CONTROL_SECONDS: Final = 15
"""How long the server may be silent before it lists or unloads. A load is another matter."""

_COPY_NUMBER: Final = re.compile(r":\d+\Z")


@dataclass(frozen=True, slots=True)
class LoadedInstance:
    """One model in memory: its ``id``, the model ``names`` it answers to, and as much of its ``config`` as the server tells."""

    id: str
    names: frozenset[str]
    config: Mapping[str, Any]


class LMStudioApi:
    """The endpoints, typed. Every method raises AdapterError."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def instances(self) -> dict[str, LoadedInstance]:
        """What is loaded, by instance id."""
        rows = await self._rows("/api/v1/models", "models")
        found = {instance.id: instance for row in rows for instance in _instances_v1(row)}
        try:
            older = await self._rows("/api/v0/models", "data")
        except (AdapterProtocolError, AdapterRequestError):
            return found  # there is no /api/v0 any more
        for instance in filter(None, map(_instance_v0, older)):
            found.setdefault(instance.id, instance)
        return found

    async def load(self, model: str, config: Mapping[str, Any]) -> str | None:
        """Load another instance of ``model`` and return its id (None: the server tells none). Answers when it is loaded.

        Every call loads one more. AdapterConnectError, AdapterTimeoutError and AdapterProtocolError leave open whether it has.
        """
        body = {"model": model, **config}
        answer = await self._http.json("POST", "/api/v1/models/load", body, otherwise=ModelLoadError)
        instance_id = answer.get("instance_id") or answer.get("model_instance_id")  # the latter in early betas
        return instance_id if isinstance(instance_id, str) else None

    async def unload(self, instance_id: str) -> None:
        """Unload that instance. It is fine if it is gone already."""
        body = {"instance_id": instance_id}
        try:
            await self._http.json("POST", "/api/v1/models/unload", body, read_timeout=CONTROL_SECONDS)
        except (ModelNotFoundError, ModelEvictedError):
            return

    async def _rows(self, path: str, name: str) -> list[Mapping[str, Any]]:
        answer = await self._http.json("GET", path, read_timeout=CONTROL_SECONDS)
        rows = answer.get(name)
        if not isinstance(rows, list):
            raise AdapterProtocolError(f"{self._http.server}: {path} answered without a list of {name}")
        return [row for row in rows if isinstance(row, Mapping)]


def _instances_v1(row: Mapping[str, Any]) -> Iterator[LoadedInstance]:
    names = frozenset(name for name in (row.get("key"), row.get("selected_variant")) if isinstance(name, str))
    instances = row.get("loaded_instances")
    for instance in instances if isinstance(instances, list) else ():
        if isinstance(instance, Mapping) and isinstance(instance.get("id"), str):
            config = instance.get("config")
            yield LoadedInstance(instance["id"], names, config if isinstance(config, Mapping) else {})


def _instance_v0(row: Mapping[str, Any]) -> LoadedInstance | None:
    """A row is a model, and an instance of it where its state says so; the second instance of ``key`` has the id ``key:2``."""
    instance_id = row.get("id")
    if row.get("state") != "loaded" or not isinstance(instance_id, str):
        return None
    length = row.get("loaded_context_length")
    config = {} if length is None else {"context_length": length}
    return LoadedInstance(instance_id, frozenset({_COPY_NUMBER.sub("", instance_id)}), config)
