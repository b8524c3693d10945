"""What the commands print: tables, JSON, a model's words, and how long something takes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from statemachine.text import fit_to_show

__all__ = ["harmless", "print_rows", "waiting"]


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print a table with a line per row, or JSON."""
    if as_json:
        print(json.dumps(list(rows), indent=2))
        return
    names = list(rows[0]) if rows else []
    texts = [[fit_to_show(_text(row[name])) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in [names, *texts]) for i in range(len(names))]
    for line in [[name.upper() for name in names], *texts] if rows else []:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    if not rows:
        print("none")


def harmless(piece: str) -> str:
    """Return a piece of a model's answer, without what a terminal would obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in piece)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


@asynccontextmanager
async def waiting(what: str) -> AsyncGenerator[None, None]:
    """Show on the terminal how long ``what`` takes, while the block takes it; elsewhere say only that it has begun."""
    began = time.monotonic()
    if not sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr)
        yield
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tick, what, began)
        yield
        nursery.cancel_scope.cancel()
    print(f"\r{what}: {time.monotonic() - began:.1f} s", file=sys.stderr)


async def _tick(what: str, began: float) -> None:
    while True:
        print(f"\r{what}: {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)
        await trio.sleep(0.5)
