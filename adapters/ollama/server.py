"""Ollama as ``Residency`` sees it: what is in memory, load it, unload it.

``/api/ps`` lists what is loaded, and until when. A request without a prompt only loads, and answers when that is done; with
``keep_alive: 0`` it only unloads, and answers before that is done where the model is busy. A request with other runner options than the
loaded model's makes the server load it again, so these options are part of what is compared and are sent with every request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from statemachine.errors import AdapterProtocolError, ModelLoadError

from ..http.client import HttpClient
from ..residency import Resident

__all__ = ["FOREVER", "OllamaServer", "with_tag"]

FOREVER: Final = -1


def with_tag(name: str) -> str:
    """Return the whole name of a model: without a tag, ``latest`` is meant."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _known_as(name: str) -> str:
    """Return the name by which models are compared: the server tells no capitals from small letters, and leaves its own library out."""
    return with_tag(name).casefold().removeprefix("registry.ollama.ai/").removeprefix("library/")


class OllamaServer:
    """The endpoints for one model. Every method may raise AdapterError. See ``residency.ModelServer``.

    ``runner_options`` are what the model is loaded with, ``keep_alive`` how long it is to stay when idle.
    """

    def __init__(
        self, http: HttpClient, model: str, runner_options: Mapping[str, Any], keep_alive: object = FOREVER
    ) -> None:
        self._http = http
        self._model = model
        self._runner_options = dict(runner_options)
        self._keep_alive = keep_alive

    async def list(self) -> list[Resident]:
        """List the models in memory."""
        answer = await self._http.json("GET", "/api/ps")
        rows = answer.get("models")
        if rows is None:
            rows = []  # so Go writes an empty list
        if not isinstance(rows, list):
            raise AdapterProtocolError(f"{self._http.server}: /api/ps answered without a list of models")
        return [resident for row in rows if isinstance(row, Mapping) and (resident := _resident(row)) is not None]

    async def load(self) -> str | None:
        """Load the model; answers when it is loaded, and is not bounded here."""
        body = {"model": self._model, "keep_alive": self._keep_alive, "stream": False}
        if self._runner_options:
            body["options"] = self._runner_options
        await self._http.json("POST", "/api/generate", body, seconds=None, otherwise=ModelLoadError)
        return None

    async def unload(self, resident_id: str) -> None:
        """Unload the model, when its answers are over."""
        await self._http.json("POST", "/api/generate", {"model": resident_id, "keep_alive": 0, "stream": False})

    def fits(self, resident: Resident) -> bool:
        """Return whether it is the model that is wanted."""
        return _known_as(resident.model) == _known_as(self._model)


def _resident(row: Mapping[str, Any]) -> Resident | None:
    name = row.get("model") or row.get("name")
    if not isinstance(name, str):
        return None
    length = row.get("context_length")
    return Resident(name, name, "loaded", {"num_ctx": length} if isinstance(length, int) and length else {})
