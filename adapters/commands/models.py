"""``models``: list the models that a gateway offers or a local server has, and which of them are in memory."""

from __future__ import annotations

from typing import Any

import trio

from .asked import AskedOptions, asked
from .show import print_rows

__all__ = ["Options", "run"]

Options = AskedOptions


def run(options: Options) -> int:
    """List. Returns the exit status. Raises ProviderManagerError."""
    print_rows(trio.run(_rows, options), as_json=options.json)
    return 0


async def _rows(options: Options) -> list[dict[str, Any]]:
    async with asked(options) as server:
        resident = await server.resident()
        rows = [{"model": row.model, "state": row.state, "instance": row.id} for row in resident]
        loaded = {row.model for row in resident} | {row.id for row in resident}
        missing = [name for name in await server.available() if name not in loaded]
    return rows + [{"model": name, "state": "-", "instance": "-"} for name in missing]
