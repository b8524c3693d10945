"""Who is asked for models: a gateway, where one runs or is named, else a model server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final, Literal, Protocol

import trio

from statemachine.errors import AdapterError, ConfigurationError
from statemachine.shell.options import option

from ..gateway.settings import DEFAULT_URL, GATEWAY_VARIABLE, TOKEN_VARIABLE
from ..http.client import HttpClient
from ..http.options import check_base_url
from ..residency import Resident
from .server import LOCAL_PROVIDERS, EndpointOptions, Server

__all__ = ["USUAL_PROVIDER", "AskedOptions", "asked", "endpoint", "gateway_of"]

PROBE_SECONDS: Final = 0.5
ASK_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.1
USUAL_PROVIDER: Final = "lmstudio"
_STATES: Final[Mapping[str, Literal["loading", "loaded", "unloading"]]] = {
    "loading": "loading",
    "busy": "loaded",
    "resident": "loaded",
    "unloading": "unloading",
}


@dataclass(frozen=True, kw_only=True)
class AskedOptions(EndpointOptions):
    """Which gateway, or which local server."""

    gateway: str | None = option(None, f"ask this gateway (default: {DEFAULT_URL}, if it runs and no server is named)")
    provider: str | None = option(None, "ask a server of this kind (default: lmstudio)", choices=LOCAL_PROVIDERS)

    def __post_init__(self) -> None:
        if self.gateway is None:
            return
        check_base_url("gateway", self.gateway)
        for name in ("provider", "base_url"):
            if getattr(self, name) is not None:
                raise ConfigurationError(name, "must not be given with --gateway, which knows its servers", "a value")


class Asked(Protocol):
    """A gateway or a server, about one model. Every method but ``fits`` may raise AdapterError."""

    async def resident(self) -> list[Resident]: ...

    async def available(self) -> list[str]: ...

    async def load(self) -> None: ...

    async def unload(self, resident: Resident) -> None: ...

    def fits(self, resident: Resident) -> bool: ...


async def gateway_of(options: AskedOptions) -> str | None:
    """Return the URL of the gateway to ask: the one that is named, by an option or by ``run``, else the usual one if it runs.

    None where a server is named, or no gateway runs. Raises ConfigurationError.
    """
    if options.gateway is not None or options.provider is not None or options.base_url is not None:
        return options.gateway
    if told := os.environ.get(GATEWAY_VARIABLE):
        check_base_url(GATEWAY_VARIABLE, told)
        return told
    http = HttpClient(DEFAULT_URL)
    try:
        answer = await http.json("GET", "/healthz", seconds=PROBE_SECONDS)
    except AdapterError:
        return None
    finally:
        await http.aclose()
    return DEFAULT_URL if answer.get("name") == "llm-slots" else None


@asynccontextmanager
async def asked(options: AskedOptions, model: str = "-") -> AsyncIterator[Asked]:
    """Yield the server that is asked about ``model``, for the length of the block."""
    url = await gateway_of(options)
    if url is None:
        yield Server(options.provider or USUAL_PROVIDER, options, model)
        return
    http = HttpClient(url, token=options.api_key or os.environ.get(TOKEN_VARIABLE))
    try:
        yield _Gateway(http, model)
    finally:
        await http.aclose()


class _Gateway:
    """A running gateway. What it loads stays until another model is needed."""

    def __init__(self, http: HttpClient, model: str) -> None:
        self._http = http
        self._model = model

    async def resident(self) -> list[Resident]:
        """Return what is in memory, or on its way in or out."""
        history = (await self._http.json("GET", "/status", seconds=ASK_SECONDS))["history"]
        lasting = [part for part in history if part["end"] is None and part["state"] in _STATES]
        return [Resident(f"{row['provider']}/{row['model']}", row["model"], _STATES[row["state"]]) for row in lasting]

    async def available(self) -> list[str]:
        """Return the names of the models that it offers."""
        answer: Mapping[str, Any] = await self._http.json("GET", "/v1/models", seconds=ASK_SECONDS)
        return [row["id"] for row in answer["data"]]

    async def load(self) -> None:
        """Let the model be loaded, when its turn has come."""
        await self._http.json("POST", "/api/v1/models/load", {"model": self._model}, seconds=None)

    async def unload(self, resident: Resident) -> None:
        """Unload it, if it is idle, and wait until it is gone."""
        await self._http.json("POST", "/control/unload", {"model": resident.id}, seconds=None)
        for _ in count():
            if resident.id not in {row.id for row in await self.resident()}:
                return
            await trio.sleep(POLL_SECONDS)

    def fits(self, resident: Resident) -> bool:
        """Return whether it is the command's model."""
        return self._model in (resident.id, resident.model)


def endpoint(options: AskedOptions, url: str) -> AskedOptions:
    """Return the options for an OpenAI-compatible chat with the gateway at ``url``."""
    key = options.api_key or os.environ.get(TOKEN_VARIABLE) or "llm-slots"
    return replace(options, gateway=None, base_url=f"{url.rstrip('/')}/v1", api_key=key)
