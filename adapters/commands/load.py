"""``load``: load a model, and leave it loaded."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from .shell import Server, command, print_rows, waiting

__all__ = ["main"]

WHAT = "load a model on a local server, and leave it loaded"


async def _run(args: argparse.Namespace) -> None:
    server, began = Server(args, args.model), time.monotonic()
    async with waiting(f"loading {args.model}"):
        await server.load()
    print_rows([{"model": args.model, "state": "loaded", "seconds": time.monotonic() - began}], args.json)


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit code."""
    return command("load", WHAT, _run, arguments, lambda parser: parser.add_argument("model"))
