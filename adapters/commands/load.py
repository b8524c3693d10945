"""``load``: load a model, by a gateway or on a local server, and leave it loaded."""

from __future__ import annotations

import time
from dataclasses import dataclass

import trio

from statemachine.shell.options import argument

from .asked import AskedOptions, asked
from .show import print_rows, waiting

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(AskedOptions):
    """Which model of which server."""

    model: str = argument("the model to load")


def run(options: Options) -> int:
    """Load. Returns the exit status. Raises ProviderManagerError."""
    return trio.run(_load, options)


async def _load(options: Options) -> int:
    began = time.monotonic()
    async with asked(options, options.model) as server, waiting(f"loading {options.model}"):
        await server.load()
    row = {"model": options.model, "state": "loaded", "seconds": time.monotonic() - began}
    print_rows([row], as_json=options.json)
    return 0
