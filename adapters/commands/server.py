"""The server that a command names: its options, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import trio

from statemachine.config.adapter import AdapterConfig
from statemachine.errors import AdapterTimeoutError
from statemachine.shell.options import option
from statemachine.text import fit_to_show

from ..providers.kinds import KINDS
from ..residency import ModelServer, Resident

__all__ = ["LOCAL_PROVIDERS", "PROVIDERS", "EndpointOptions", "LocalServerOptions", "Server"]

UNLOAD_SECONDS: Final = 60
PROVIDERS: Final = sorted(KINDS)
LOCAL_PROVIDERS: Final = [kind for kind in PROVIDERS if KINDS[kind].is_local]


@dataclass(frozen=True, kw_only=True)
class EndpointOptions:
    """Where the server of a provider is, and how the answer is printed."""

    base_url: str | None = option(None, "the server (default: the provider's own)")
    api_key: str | None = option(None, "its credential (default: the environment's)")
    json: bool = option(False, "print JSON instead of a table")

    def config(self, provider: str, model: str) -> dict[str, str | None]:
        """Return the configuration of ``model`` for a :class:`ModelProvider`."""
        return {"provider": provider, "model": model, "base_url": self.base_url, "api_key": self.api_key}


@dataclass(frozen=True, kw_only=True)
class LocalServerOptions(EndpointOptions):
    """Which local server."""

    provider: str = option("lmstudio", "what it is", choices=LOCAL_PROVIDERS)


class Server:
    """A local server, by the adapter of one of its models. What is loaded here stays loaded when the command has ended."""

    def __init__(self, provider: str, options: EndpointOptions, model: str = "-") -> None:
        kind = KINDS[provider]
        given = kind.options(options.base_url, options.api_key)
        self.model = model
        self._adapter = kind.factory()(AdapterConfig(provider, model, given))
        self._verbs: ModelServer = self._adapter._server
        self._http = self._adapter._http

    async def resident(self) -> list[Resident]:
        """Return what is in memory, or on its way. Raises AdapterError."""
        return list(await self._verbs.list())

    async def available(self) -> list[str]:
        """Return the models that the server has. Raises AdapterError."""
        rows = (await self._http.json("GET", "/v1/models")).get("data")
        found = [row.get("id") for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
        return [name for name in found if isinstance(name, str)]

    async def load(self) -> None:
        """Load the model, or find it loaded. Raises AdapterError."""
        await self._adapter.start()

    async def unload(self, resident: Resident) -> None:
        """Unload, and wait until the list no longer shows it. Raises AdapterError."""
        with trio.move_on_after(UNLOAD_SECONDS):
            await self._adapter._residency.remove(resident.id)
            return
        raise AdapterTimeoutError(f"{fit_to_show(resident.id)} is not seen unloaded after {UNLOAD_SECONDS} s")

    def fits(self, resident: Resident) -> bool:
        """Return whether it is the command's model."""
        return resident.id == self.model or self._verbs.fits(resident)
