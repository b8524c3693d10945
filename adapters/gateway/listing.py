"""Ask a provider's server which models it has, and what it says of one. Nothing is loaded by that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statemachine import AdapterError, AdapterProtocolError

from ..http.client import HttpClient
from .backends import BACKENDS
from .facts import ModelFacts, facts_of
from .settings import ProviderSettings

__all__ = ["ask_for_models", "describe_model"]

ASK_SECONDS = 5.0


async def ask_for_models(provider: ProviderSettings) -> Mapping[str, ModelFacts]:
    """Return its models by name. Raises AdapterError."""
    error: AdapterError = AdapterProtocolError(f"{provider.name}: tells no list of models")
    for place in BACKENDS[provider.kind].lists:
        try:
            rows = place.by_name(await _ask(provider, "GET", place.path))
        except AdapterError as failure:
            error = failure
        else:
            if rows is not None:
                return {name: facts_of(row) for name, row in rows.items()}
    raise error


async def describe_model(provider: ProviderSettings, model: str) -> Mapping[str, Any]:
    """Return what an Ollama server says of one of its models (``/api/show``). Raises AdapterError."""
    return await _ask(provider, "POST", "/api/show", {"model": model})


async def _ask(
    provider: ProviderSettings, method: str, path: str, body: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    backend = BACKENDS[provider.kind]
    options = provider.config.base_options
    http = HttpClient(
        options.get("base_url", getattr(backend.adapter(), "default_base_url", "")),
        token=options.get("api_token"),
        token_header=backend.token_header,
        headers=backend.headers,
    )
    try:
        return await http.json(method, path, body, seconds=ASK_SECONDS)
    finally:
        await http.aclose()
