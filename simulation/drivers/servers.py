"""Real servers by name, for drivers that reach one over the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import adapters
from statemachine import ProviderConfig, ProviderManagerConfig
from statemachine.config.adapter import AdapterFactory
from statemachine.errors import ConfigurationError
from statemachine.policies import PolicyFactory

__all__ = ["SERVERS", "real_server"]

_CLASSES: Final = {
    "llamacpp": "LlamaCppAdapter",
    "lmstudio": "LMStudioAdapter",
    "ollama": "OllamaAdapter",
    "openai": "OpenAIAdapter",
}
SERVERS: Final = tuple(name for name, adapter in _CLASSES.items() if hasattr(adapters, adapter))
"""The names of the servers that there is an adapter for."""


def real_server(
    server: str, base_url: str, policy: PolicyFactory, *, parallel: int = 1, options: Mapping[str, Any] | None = None
) -> ProviderManagerConfig:
    """Return the configuration of a manager that lends the server at ``base_url`` to ``parallel`` callers of one model at a time.

    Raises ConfigurationError.
    """
    if server not in SERVERS:
        raise ConfigurationError("server", f"must be one of {', '.join(SERVERS)}", repr(server))
    adapter: AdapterFactory = getattr(adapters, _CLASSES[server])
    base_options = {"base_url": base_url, **(options or {})}
    provider = ProviderConfig(server, adapter, is_local=True, parallel=parallel, base_options=base_options)
    return ProviderManagerConfig([provider], on_conflict="wait", policy=policy)
