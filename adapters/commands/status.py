"""``status``: show a gateway's slots, queue and agents; with ``--provider``, whether a provider answers and what it has in memory.

Exit status: 0 shown, 1 it does not answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import trio

from statemachine.errors import AdapterConnectError
from statemachine.shell.options import option

from ..gateway.commands.status import show
from ..gateway.settings import DEFAULT_URL
from ..providers.kinds import KINDS
from ..providers.provider import ModelProvider
from .server import PROVIDERS, EndpointOptions, Server
from .show import print_rows

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(EndpointOptions):
    """Whether a gateway or a provider is asked, and how."""

    provider: str | None = option(None, "ask a provider, not a gateway", choices=PROVIDERS)
    timeout: float = option(5.0, "seconds for a provider's answer", least=0.001, most=3600)
    url: str = option(DEFAULT_URL, "the gateway")
    watch: bool = option(False, "show the gateway every second, until interrupted")


def run(options: Options) -> int:
    """Show. Returns the exit status. Raises AdapterError."""
    if options.provider is None:
        return show(options.url, as_json=options.json, watch=options.watch)
    print_rows([trio.run(_row, options, options.provider)], as_json=options.json)
    return 0


async def _row(options: Options, kind: str) -> dict[str, Any]:
    async with ModelProvider() as provider:
        status = await provider.test_connection(options.config(kind, "-"), timeout=options.timeout)
    if not status.reachable:
        raise AdapterConnectError(f"{status.provider} at {status.base_url}: {status.detail}")
    row = {"provider": status.provider, "base url": status.base_url, "seconds": status.seconds}
    if KINDS[kind].is_local:
        loaded = [resident.id for resident in await Server(kind, options).resident()]
        row["in memory"] = ", ".join(loaded) or "nothing"
    return row
