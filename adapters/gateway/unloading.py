"""Unload what is loaded and idle: on demand, or after a provider's idle time-out.

To unload a model, the gateway takes a lease of it and gives it back as one that must not be used again. So an unload waits for its turn
as every request does, and never meets one that is under way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from statemachine import ProviderManagerError

from .gateway import Gateway
from .history import Segment

__all__ = ["unload_idle", "unload_in_time"]

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5


async def unload_idle(gateway: Gateway, chosen: Callable[[Segment], bool] = lambda _: True) -> list[str]:
    """Unload the idle models of local servers for which ``chosen`` is true; return their names. Raises ProviderManagerError."""
    local = {provider.name for provider in gateway.settings.providers if provider.config.is_local}
    idle = [part for part in gateway.history.lasting() if part.state == "resident" and part.provider in local]
    unloaded = []
    for part in filter(chosen, idle):
        if (config := gateway.history.configuration(part)) is None:
            continue
        lease = await gateway.manager.get_adapter(config, agent="unload")
        lease.release(broken=True)
        unloaded.append(part.model)
    return unloaded


async def unload_in_time(gateway: Gateway) -> None:
    """Unload each model that has been idle for its provider's idle time-out, and is not pinned. Runs until it is cancelled."""

    def is_due(part: Segment) -> bool:
        provider = gateway.settings.provider(part.provider)
        if provider.idle_seconds is None or part.model in provider.pin:
            return False
        return trio.current_time() - part.start >= provider.idle_seconds

    while True:
        await trio.sleep(LOOK_SECONDS)
        try:
            for model in await unload_idle(gateway, is_due):
                log.info("%s was idle, and is unloaded", model)
        except ProviderManagerError as error:
            log.warning("an idle model could not be unloaded: %s", error)
