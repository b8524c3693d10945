"""``unload``: unload a model, or all of them, also where others have loaded it or are using it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from statemachine.errors import ModelNotFoundError

from .shell import Server, command, print_rows, waiting

__all__ = ["main"]

WHAT = "unload a model of a local server, also where others have loaded it or are using it"


async def _run(args: argparse.Namespace) -> None:
    server = Server(args, args.model or "-")
    chosen = [row for row in await server.resident() if args.model is None or server.fits(row)]
    if not chosen and args.model is not None:
        raise ModelNotFoundError(f"{args.model} is not loaded")
    for row in chosen:
        async with waiting(f"unloading {row.id}"):
            await server.unload(row)
    print_rows([{"model": row.model, "state": "unloaded", "instance": row.id} for row in chosen], args.json)


def _more(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("model", nargs="?", help="its name, or that of an instance")
    which.add_argument("--all", action="store_true", help="whatever is loaded")


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit code."""
    return command("unload", WHAT, _run, arguments, _more)
