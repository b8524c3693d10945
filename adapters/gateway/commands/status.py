"""``status``: the gateway's slots, queue and agents, as a table or as JSON.

Exit codes: 0 shown, 1 the gateway does not answer, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import trio

from statemachine import AdapterError
from statemachine.parser import Parser

from ...http.client import HttpClient
from ..settings import DEFAULT_URL, TOKEN_VARIABLE

__all__ = ["main"]

STATUS_SECONDS: Final = 5.0


def main(arguments: Sequence[str]) -> int:
    """Print the gateway's status as a table."""
    parser = Parser(prog="llm-slots status", description="Show slots, queue and agents of a gateway.")
    parser.add_argument("--url", default=DEFAULT_URL, help="the gateway (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--watch", action="store_true", help="again every second, until interrupted")
    options = parser.parse_args(arguments)
    try:
        while True:
            picture = trio.run(_fetch, options.url)
            print(json.dumps(picture) if options.json else _table(picture), flush=True)
            if not options.watch:
                return 0
            time.sleep(1)
    except AdapterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _fetch(url: str) -> Mapping[str, Any]:
    http = HttpClient(url, token=os.environ.get(TOKEN_VARIABLE))
    try:
        return await http.json("GET", "/status", seconds=STATUS_SECONDS)
    finally:
        await http.aclose()


def _table(picture: Mapping[str, Any]) -> str:
    lines = [f"{name:<24} {slot['state']:<10} {slot['model'] or ''}" for name, slot in picture["slots"].items()]
    lines.append(
        f"{picture['under_way']} under way, {len(picture['queue'])} waiting, {picture['counters']['switches']} switches"
    )
    lines += [
        f"  {row['agent']:<22} {row['model']:<24} {row['waited']:8.1f} s  {row['reason']}" for row in picture["queue"]
    ]
    lines += [
        f"{row['agent']:<24} {row['answered']:5} answered, mean wait {row['mean_wait']:.1f} s, longest {row['longest_wait']:.1f} s"
        for row in picture["agents"]
    ]
    return "\n".join(lines)
