"""llama.cpp's server as ``Residency`` sees it: what is in memory, load it, unload it.

Started without a model the server is a router: it runs a process for each model. ``GET /models`` lists every model that it knows with its
state; a load and an unload answer at once, and the list tells what came of them: a load that failed is ``unloaded`` with ``failed`` and the
process's exit code. Started with a model the server has that one only; its list has no states, and there is nothing to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from statemachine.errors import AdapterProtocolError, ModelLoadError

from ..http.client import HttpClient
from ..residency import Resident

__all__ = ["LlamaCppServer"]

_STATES: Final[Mapping[str, Literal["loading", "loaded"]]] = {
    "loaded": "loaded",
    "sleeping": "loaded",  # it wakes by itself
    "loading": "loading",
    "downloading": "loading",
}


class LlamaCppServer:
    """The endpoints for one model. Every method may raise AdapterError. See ``residency.ModelServer``."""

    def __init__(self, http: HttpClient, model: str) -> None:
        self._http = http
        self._model = model

    async def list(self) -> list[Resident]:
        """List the models in memory, on their way there, and those whose load has failed."""
        answer = await self._http.json("GET", "/models")
        rows = answer.get("data", answer.get("models"))  # recent builds have both
        if not isinstance(rows, list):
            raise AdapterProtocolError(f"{self._http.server}: /models answered without a list of data")
        return [resident for row in rows if isinstance(row, Mapping) and (resident := self._resident(row)) is not None]

    async def load(self) -> str | None:
        """Begin to load the model."""
        await self._http.json("POST", "/models/load", {"model": self._model}, otherwise=ModelLoadError)
        return None

    async def unload(self, resident_id: str) -> None:
        """Begin to unload the model."""
        await self._http.json("POST", "/models/unload", {"model": resident_id})

    def fits(self, resident: Resident) -> bool:
        """Return whether it is the model that is wanted."""
        return resident.model == self._model

    def _resident(self, row: Mapping[str, Any]) -> Resident | None:
        name, aliases = row.get("id"), row.get("aliases")
        if not isinstance(name, str):
            return None
        known = [name, *aliases] if isinstance(aliases, list) else [name]
        model = self._model if self._model in known else name
        status = row.get("status")
        status = {"value": status} if isinstance(status, str) else status
        if not isinstance(status, Mapping):  # a server with one model, which is loaded
            return Resident(name, model, "loaded", _config(row))
        value = str(status.get("value")).lower()
        if (state := _STATES.get(value)) is not None:
            return Resident(name, model, state, _config(row))
        if str(status.get("failed")).lower() in ("true", "1") or value in ("error", "failed"):
            return Resident(name, model, "failed", reason=f"its process ended with exit code {status.get('exit_code')}")
        return None


def _config(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the context that a loaded model has; the server tells nothing else that could be compared."""
    meta = row.get("meta")
    length = meta.get("n_ctx") if isinstance(meta, Mapping) else None
    return {"context_length": length} if isinstance(length, int) else {}
