"""``unload``: unload a model, or all of them.

By a gateway, which needs its token for that, what is idle; on a local server also what others have loaded or are using.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from statemachine.errors import ConfigurationError, ModelNotFoundError
from statemachine.shell.options import argument, option

from .asked import AskedOptions, asked
from .show import print_rows, waiting

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(AskedOptions):
    """Which model of which server: one, or all."""

    model: str | None = argument("its name, or that of an instance", count="?")
    all: bool = option(False, "every model that is loaded")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.all == (self.model is not None):
            raise ConfigurationError(
                "model", "must be given, or --all instead of it", "both" if self.all else "neither"
            )


def run(options: Options) -> int:
    """Unload. Returns the exit status. Raises ProviderManagerError."""
    return trio.run(_unload, options)


async def _unload(options: Options) -> int:
    async with asked(options, options.model or "-") as server:
        chosen = [row for row in await server.resident() if options.model is None or server.fits(row)]
        if not chosen and options.model is not None:
            raise ModelNotFoundError(f"{options.model} is not loaded")
        for row in chosen:
            async with waiting(f"unloading {row.id}"):
                await server.unload(row)
    rows = [{"model": row.model, "state": "unloaded", "instance": row.id} for row in chosen]
    print_rows(rows, as_json=options.json)
    return 0
