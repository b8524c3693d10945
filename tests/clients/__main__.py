"""``python -m tests.clients [CLIENT...]``: make every call of every official client, and print the table. Exits with 1 if one fails."""

from __future__ import annotations

import importlib
import logging
import sys
from importlib.metadata import version
from typing import Final

import trio

from .server import judged, verdicts

CLIENTS: Final = {
    "openai": "openai_calls",
    "anthropic": "anthropic_calls",
    "lmstudio": "lmstudio_calls",
    "litellm": "litellm_calls",
    "langchain-openai": "langchain_calls",
    "pydantic-ai-slim": "pydantic_ai_calls",
}
"""Each distribution's module of calls."""


async def table(clients: list[str]) -> int:
    """Print a row for each call as it is judged. Returns how many failed."""
    failed = 0
    print(f"{'client':26} {'call':34} verdict")
    async with judged() as url:
        for client in clients:
            module = await trio.to_thread.run_sync(importlib.import_module, f"{__package__}.{CLIENTS[client]}")
            for name, error in (await verdicts(module.CALLS, url)).items():
                failed += error is not None
                shown = (
                    "OK" if error is None else f"FAILED {type(error).__name__}: {' '.join(str(error).split())[:300]}"
                )
                print(f"{client + ' ' + version(client):26} {name:34} {shown}", flush=True)
    return failed


def main(clients: list[str]) -> int:
    """Returns the exit status: 2 for a client that is not known."""
    if unknown := [client for client in clients if client not in CLIENTS]:
        print(f"error: {unknown[0]!r} is no client; known: {', '.join(CLIENTS)}", file=sys.stderr)
        return 2
    logging.disable(logging.ERROR)  # clients log the errors that are provoked
    failed = trio.run(table, clients or list(CLIENTS))
    print(f"{failed} failed" if failed else "all OK")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
