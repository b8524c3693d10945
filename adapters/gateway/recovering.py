"""Unload what an earlier run of the gateway had loaded, and left because it was killed. What others have loaded is left alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from statemachine import AdapterConfig, AdapterError

from ..residency import OwnedFile
from .settings import GatewaySettings, ProviderSettings

__all__ = ["owning"]

log = logging.getLogger(__name__)

RECOVER_SECONDS: Final = 30.0
"""The gateway begins to serve after that time, whatever was reached."""


@asynccontextmanager
async def owning(settings: GatewaySettings) -> AsyncIterator[None]:
    """Have the file for the length of the block, which begins when what was left has been unloaded."""
    if settings.owned_file is None:
        yield
        return
    file = OwnedFile.at(settings.owned_file)
    try:
        await _recover_all(settings, {left.model for left in file.left.values()})
        yield
    finally:
        file.close()


async def _recover_all(settings: GatewaySettings, models: Set[str]) -> None:
    """Look at the local servers that answer. What could not be looked at stays noted."""
    with trio.move_on_after(RECOVER_SECONDS):
        for provider in settings.providers:
            for model in sorted(models) if provider.config.is_local else ():
                await _recover(provider, model)


async def _recover(provider: ProviderSettings, model: str) -> None:
    adapter: Any = provider.config.adapter(AdapterConfig(provider.name, model, provider.config.base_options))
    try:
        if (await adapter.health()).reachable:
            for name in await adapter.recover():
                log.warning("%s: %s was left by an earlier run, and is unloaded", provider.name, name)
    except AdapterError as error:
        log.warning("%s: what an earlier run has left could not be unloaded: %s", provider.name, error)
    finally:
        await adapter.shutdown()
