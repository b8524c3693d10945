"""The kinds of provider that a configuration may name: the adapter, the endpoint and the place of the credential of each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Final

from statemachine.config.adapter import Adapter, AdapterConfig
from statemachine.config.providers import ProviderConfig
from statemachine.errors import ConfigurationError

from ..http.library import Transport

__all__ = ["KINDS", "Kind", "provider_of"]


@dataclass(frozen=True)
class Kind:
    """One kind. ``adapter``: its module and class. ``key_variable``: the environment variable with the credential.

    ``base_url`` and ``key_variable`` of None: those of the adapter.
    """

    adapter: tuple[str, str]
    is_local: bool = False
    base_url: str | None = None
    key_variable: str | None = None

    def options(self, base_url: str | None, api_key: str | None) -> dict[str, Any]:
        """Return the adapter's options. A kind with its own ``key_variable`` never gets the credential of the adapter's kind."""
        url = base_url or self.base_url
        key = api_key or (os.environ.get(self.key_variable) if self.key_variable else None)
        options: dict[str, Any] = {} if url is None else {"base_url": url}
        if key is not None or self.key_variable is not None:
            options["api_token"] = key
        return options

    def factory(self) -> Any:
        """Return the adapter's class. Raises ConfigurationError where this installation has none."""
        module, name = self.adapter
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise ConfigurationError("provider", f"needs {name}, which is not installed", f"{error.name}") from None


_OPENAI: Final = ("adapters.openai", "OpenAIAdapter")

KINDS: Final[Mapping[str, Kind]] = {
    "anthropic": Kind(("adapters.anthropic", "AnthropicAdapter")),
    "gemini": Kind(
        _OPENAI,
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable="GEMINI_API_KEY",
    ),
    "google": Kind(
        _OPENAI,
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable="GEMINI_API_KEY",
    ),
    "llamacpp": Kind(("adapters.llamacpp", "LlamaCppAdapter"), is_local=True),
    "lmstudio": Kind(("adapters.lmstudio", "LMStudioAdapter"), is_local=True),
    "ollama": Kind(("adapters.ollama", "OllamaAdapter"), is_local=True),
    "openai": Kind(_OPENAI),
    "openrouter": Kind(_OPENAI, base_url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY"),
}
"""The kinds, by the name in a configuration. ``google`` and ``gemini`` are the same: Google's OpenAI-compatible endpoint."""


def provider_of(name: str, transport: Transport | None) -> ProviderConfig:
    """Return the provider of this kind, for a provider manager."""
    return ProviderConfig(name, partial(_make, name, transport), is_local=KINDS[name].is_local)


def _make(name: str, transport: Transport | None, config: AdapterConfig) -> Adapter:
    adapter: Adapter = KINDS[name].factory()(config, transport=transport)
    return adapter
