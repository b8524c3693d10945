"""Show a gateway's slots, queue and agents, as a table or as JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any, Final

import trio

from ...http.client import HttpClient
from ..settings import TOKEN_VARIABLE

__all__ = ["show"]

STATUS_SECONDS: Final = 5.0


def show(url: str, *, as_json: bool, watch: bool) -> int:
    """Print the status of the gateway at ``url``; ``watch``: every second, until interrupted.

    Returns the exit status. Raises AdapterError.
    """
    while True:
        picture = trio.run(_fetch, url)
        print(json.dumps(picture) if as_json else _table(picture), flush=True)
        if not watch:
            return 0
        time.sleep(1)


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
