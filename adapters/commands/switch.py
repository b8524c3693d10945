"""``switch``: unload every other model, see it gone, then load this one."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from .shell import Server, command, print_rows, waiting

__all__ = ["main"]

WHAT = "unload every other model of a local server, then load this one, and leave it loaded"


async def _run(args: argparse.Namespace) -> None:
    server, began = Server(args, args.model), time.monotonic()
    others = [row for row in await server.resident() if not server.fits(row)]
    for row in others:
        async with waiting(f"unloading {row.id}"):
            await server.unload(row)
    async with waiting(f"loading {args.model}"):
        await server.load()
    unloaded = ", ".join(row.id for row in others) or "nothing"
    seconds = time.monotonic() - began
    print_rows([{"model": args.model, "state": "loaded", "unloaded": unloaded, "seconds": seconds}], args.json)


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit code."""
    return command("switch", WHAT, _run, arguments, lambda parser: parser.add_argument("model"))
