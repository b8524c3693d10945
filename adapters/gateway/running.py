"""Run one program through the gateway: ``llm-slots run --agent ann -- COMMAND`` sets what its clients read from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

__all__ = ["client_environment"]

NO_KEY: Final = "llm-slots"
"""What clients get that want a key though the gateway asks for none."""


def client_environment(url: str, agent: str | None, token: str | None) -> Mapping[str, str]:
    """Return the variables for the official clients. ``url`` is the gateway's; ``agent`` names the program.

    Clients without a way to set headers get the agent by the path.
    """
    base = url.rstrip("/")
    named = base if agent is None else f"{base}/agent/{quote(agent, safe='')}"
    variables = {
        "OPENAI_BASE_URL": f"{named}/v1",
        "OPENAI_API_KEY": token or NO_KEY,
        "ANTHROPIC_BASE_URL": named,
        "ANTHROPIC_API_KEY": token or NO_KEY,
        "OLLAMA_HOST": named,
    }
    if agent is not None:
        variables["OPENAI_CUSTOM_HEADERS"] = f"X-Agent-ID: {agent}"
    return variables
