"""Run one program through the gateway: ``llm-slots run --agent ann -- COMMAND`` sets what its clients read from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Final
from urllib.parse import quote

import trio

from statemachine.errors import AdapterError

from ..http.client import HttpClient
from .settings import GATEWAY_VARIABLE

__all__ = ["client_environment", "wait_for_gateway"]

PROBE_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.1
NO_KEY: Final = "llm-slots"
"""What clients get that want a key though the gateway asks for none."""


def client_environment(url: str, agent: str | None, token: str | None) -> Mapping[str, str]:
    """Return the variables for the official clients. ``url`` is the gateway's; ``agent`` names the program.

    Clients without a way to set headers get the agent by the path.
    """
    base = url.rstrip("/")
    named = base if agent is None else f"{base}/agent/{quote(agent, safe='')}"
    variables = {
        GATEWAY_VARIABLE: named,
        "OPENAI_BASE_URL": f"{named}/v1",
        "OPENAI_API_KEY": token or NO_KEY,
        "ANTHROPIC_BASE_URL": named,
        "ANTHROPIC_API_KEY": token or NO_KEY,
        "OLLAMA_HOST": named,
    }
    if agent is not None:
        variables["OPENAI_CUSTOM_HEADERS"] = f"X-Agent-ID: {agent}"
    return variables


async def wait_for_gateway(url: str, seconds: float) -> None:
    """Return when a gateway answers at ``url``. Raises AdapterError where none does after ``seconds``."""
    end = trio.current_time() + seconds
    http = HttpClient(url)
    try:
        for _ in count():
            try:
                await http.json("GET", "/healthz", seconds=PROBE_SECONDS)
                return
            except AdapterError:
                if trio.current_time() >= end:
                    raise
            await trio.sleep(PAUSE_SECONDS)
    finally:
        await http.aclose()
