"""``switch``: unload every other model of a local server, see it gone, then load this one."""

from __future__ import annotations

import time
from dataclasses import dataclass

import trio

from statemachine.shell.options import argument

from .server import LocalServerOptions, Server
from .show import print_rows, waiting

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(LocalServerOptions):
    """Which model of which server."""

    model: str = argument("the model to load in place of all others")


def run(options: Options) -> int:
    """Unload the others and load. Returns the exit status. Raises ProviderManagerError."""
    return trio.run(_switch, options)


async def _switch(options: Options) -> int:
    server, began = Server(options.provider, options, options.model), time.monotonic()
    others = [row for row in await server.resident() if not server.fits(row)]
    for row in others:
        async with waiting(f"unloading {row.id}"):
            await server.unload(row)
    async with waiting(f"loading {options.model}"):
        await server.load()
    unloaded = ", ".join(row.id for row in others) or "nothing"
    seconds = time.monotonic() - began
    done = {"model": options.model, "state": "loaded", "unloaded": unloaded, "seconds": seconds}
    print_rows([done], as_json=options.json)
    return 0
