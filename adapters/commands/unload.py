"""``unload``: unload a model of a local server, or all of them, also where others have loaded it or are using it."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from statemachine.errors import ConfigurationError, ModelNotFoundError
from statemachine.shell.options import argument, option

from .server import Server, ServerOptions
from .show import print_rows, waiting

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(ServerOptions):
    """Which model of which server: one, or all."""

    model: str | None = argument("its name, or that of an instance", count="?")
    all: bool = option(False, "every model that is loaded")

    def __post_init__(self) -> None:
        if self.all == (self.model is not None):
            raise ConfigurationError(
                "model", "must be given, or --all instead of it", "both" if self.all else "neither"
            )


def run(options: Options) -> int:
    """Unload. Returns the exit status. Raises ProviderManagerError."""
    return trio.run(_unload, options)


async def _unload(options: Options) -> int:
    server = Server(options.provider, options, options.model or "-")
    chosen = [row for row in await server.resident() if options.model is None or server.fits(row)]
    if not chosen and options.model is not None:
        raise ModelNotFoundError(f"{options.model} is not loaded")
    for row in chosen:
        async with waiting(f"unloading {row.id}"):
            await server.unload(row)
    rows = [{"model": row.model, "state": "unloaded", "instance": row.id} for row in chosen]
    print_rows(rows, as_json=options.json)
    return 0
