"""LM Studio's lifecycle endpoints as the four verbs of ``residency``: list, load, unload, fits.

Which version the server has is found once, by the first list. From 0.4 on, ``/api/v1`` loads and unloads. Some of its builds list no
instance there though there are some, while the older ``/api/v0`` shows them; so where the new list is empty the old one is asked,
too. Before 0.4 there is ``/api/v0`` only, which lists: a model is loaded just in time by a chat that names it, and unloaded by the
server itself, after its ``ttl`` or when the next is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

from statemachine.errors import (
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    ModelLoadError,
    ModelNotFoundError,
)
from statemachine.text import fit_to_show

from ..http.client import HttpClient
from ..http.messages import CHAT_PATH
from ..residency import Resident
from .rows import can_chat, names_of, residents_v0, residents_v1, selected_variant

__all__ = ["LMStudioServer"]

Row = Mapping[str, Any]


class LMStudioServer:
    """One model on one server. Every method but ``fits`` raises AdapterError."""

    def __init__(self, http: HttpClient, model: str, config: Mapping[str, Any], ttl: int | None) -> None:
        self._http: Final = http
        self._model: Final = model
        self._config: Final = config
        self._ttl: Final = ttl
        self._version: Literal["v1", "v0"] | None = None
        self._has_v0 = True
        self._rows: Sequence[Row] = ()  # as the last list had them

    @property
    def can_unload(self) -> bool:
        """Whether the server unloads when it is told to: from 0.4 on."""
        return self._version != "v0"

    async def list(self) -> Sequence[Resident]:
        """List what is loaded and can chat."""
        if self._version == "v0":
            return await self._list_v0()
        try:
            self._rows = await self._read("/api/v1/models", "models")
        except AdapterError as error:
            if self._version == "v1" or not _is_missing(error):
                raise
            with suppress(AdapterProtocolError, AdapterRequestError):
                residents = await self._list_v0()
                self._version = "v0"
                return residents
            raise
        self._version = "v1"
        return list(residents_v1(self._rows)) or await self._list_hidden()

    async def load(self) -> str | None:
        """Load another instance and return its id (None: the server tells none). Answers when it is loaded."""
        row = next((row for row in self._rows if self._model in (row.get("key"), row.get("id"))), {})
        if not can_chat(row):
            raise AdapterRequestError(f"{self._http.server}: {fit_to_show(self._model)} is a model that cannot chat")
        if self._version == "v0":
            await self._load_just_in_time()
            return None
        try:
            return await self._load(self._model, self._config)
        except ModelNotFoundError:  # some builds know no variants here
            key, _, variant = self._model.partition("@")
            if not variant or selected_variant(self._rows, key) != self._model:
                raise
            return await self._load(key, self._config)

    async def unload(self, resident_id: str) -> None:
        """Unload that instance."""
        await self._http.json("POST", "/api/v1/models/unload", {"instance_id": resident_id})

    async def loads_on_call(self) -> bool:
        """Return whether a call of the model, which is not loaded, loads it: a setting. If so, OpenAI's list has it all the same."""
        try:
            names = {row.get("id") for row in await self._read("/v1/models", "data")}
        except AdapterError:
            return True
        return not names.isdisjoint((self._model, self._model.partition("@")[0]))

    def fits(self, resident: Resident) -> bool:
        """Return whether it is the model, by any of its names."""
        return self._model in names_of(resident)

    async def _load(self, model: str, config: Mapping[str, Any]) -> str | None:
        try:
            answer = await self._post("/api/v1/models/load", {"model": model, **config})
        except AdapterRequestError as error:
            if error.code != "unrecognized_keys" or "parallel" not in config or "'parallel'" not in str(error):
                raise
            return await self._load(model, {name: value for name, value in config.items() if name != "parallel"})
        if re.search("fail|error", str(answer.get("status")), re.IGNORECASE):
            said = {"message": answer.get("message") or answer["status"]}
            raise self._http.failure(None, said, otherwise=ModelLoadError)
        instance_id = answer.get("instance_id") or answer.get("model_instance_id")  # the latter in early betas
        return instance_id if isinstance(instance_id, str) and instance_id.strip() else None

    async def _load_just_in_time(self) -> None:
        body = {"model": self._model, "messages": [{"role": "user", "content": "."}], "max_tokens": 1, "stream": False}
        await self._post(CHAT_PATH, body if self._ttl is None else {**body, "ttl": self._ttl})

    async def _post(self, path: str, body: Mapping[str, Any]) -> Row:
        seconds = self._http.bounds.read_timeout
        return await self._http.json("POST", path, body, seconds=seconds, otherwise=ModelLoadError)

    async def _list_v0(self) -> Sequence[Resident]:
        self._rows = await self._read("/api/v0/models", "data")
        return list(residents_v0(self._rows))

    async def _list_hidden(self) -> Sequence[Resident]:
        """Return what the older list shows while the new one is empty. It is optional: its failures mean nothing."""
        if not self._has_v0:
            return []
        try:
            return list(residents_v0(await self._read("/api/v0/models", "data")))
        except AdapterError as error:
            self._has_v0 = not _is_missing(error)
            return []

    async def _read(self, path: str, name: str) -> Sequence[Row]:
        rows = (await self._http.json("GET", path)).get(name)
        if not isinstance(rows, list):
            raise AdapterProtocolError(f"{self._http.server}: {path} answered without a list of {name}")
        return [row for row in rows if isinstance(row, Mapping)]


def _is_missing(error: AdapterError) -> bool:
    """Return whether the server says that it has no such endpoint."""
    return error.code == "unexpected_endpoint" or error.status == 404
