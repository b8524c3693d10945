"""``models``: what the server has, and what of it is in memory."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .shell import Server, command, print_rows

__all__ = ["main"]

WHAT = "the models of a local server, and which of them are in memory"


async def _run(args: argparse.Namespace) -> None:
    server = Server(args)
    resident = await server.resident()
    rows = [{"model": row.model, "state": row.state, "instance": row.id} for row in resident]
    loaded = {row.model for row in resident} | {row.id for row in resident}
    rows += [{"model": name, "state": "-", "instance": "-"} for name in await server.available() if name not in loaded]
    print_rows(rows, args.json)


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit code."""
    return command("models", WHAT, _run, arguments)
