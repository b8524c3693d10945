"""Ask a provider's server which models it has."""

from __future__ import annotations

from collections.abc import Sequence

from ..http.client import HttpClient
from .backends import BACKENDS
from .settings import ProviderSettings

__all__ = ["ask_for_models"]

ASK_SECONDS = 5.0


async def ask_for_models(provider: ProviderSettings) -> Sequence[str]:
    """Return the names of its models. Raises AdapterError."""
    backend = BACKENDS[provider.kind]
    options = provider.config.base_options
    http = HttpClient(
        options.get("base_url", getattr(backend.adapter(), "default_base_url", "")),
        token=options.get("api_token"),
        token_header=backend.token_header,
        headers=backend.headers,
    )
    try:
        return backend.names(await http.json("GET", backend.models_path, seconds=ASK_SECONDS))
    finally:
        await http.aclose()
