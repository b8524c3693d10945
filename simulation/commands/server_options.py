"""The options that name a real server, and what is made of them. Shared by the commands that reach one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

from statemachine import ProviderManagerConfig
from statemachine.errors import ConfigurationError
from statemachine.policies import Fifo, PolicyFactory
from statemachine.shell.options import option

from ..drivers.calibration import word_counts
from ..drivers.requests import SizedRequests
from ..drivers.servers import SERVERS, real_server

__all__ = ["ServerOptions"]


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Which server, which of its models, and what every call says."""

    base_url: str | None = option(None, "a real server, such as http://127.0.0.1:1234")
    server: str = option("lmstudio", f"what the real server is: {', '.join(SERVERS)}")
    models: str | None = option(None, "the real server's models, small to large, with commas")
    parameter: tuple[str, ...] = option((), "a parameter of every call to the real server", metavar="NAME=JSON")

    @property
    def url(self) -> str:
        """The server's address. Raises ConfigurationError."""
        if self.base_url is None:
            raise ConfigurationError("base_url", "must be given", "none")
        return self.base_url

    @property
    def keys(self) -> list[str]:
        """The names of the models. Raises ConfigurationError."""
        names = [name.strip() for name in (self.models or "").split(",") if name.strip()]
        if not names or len(set(names)) < len(names):
            raise ConfigurationError("models", "must name the real server's models, each once", repr(self.models))
        return names

    def config(self, policy: PolicyFactory = Fifo, parallel: int = 1) -> ProviderManagerConfig:
        """Return a manager's configuration that lends the server to ``parallel`` callers at a time. Raises ConfigurationError."""
        return real_server(self.server, self.url, policy, parallel=parallel)

    def style(self) -> SizedRequests:
        """Return how calls become requests; asks each model how many tokens a word is. Raises ConfigurationError."""
        extra, keys, config = _parameters(self.parameter), self.keys, self.config()
        return SizedRequests(trio.run(word_counts, keys, config), extra)


def _parameters(pairs: tuple[str, ...]) -> Mapping[str, Any]:
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            parameters[name] = json.loads(text)
        except (ValueError, RecursionError):
            raise ConfigurationError("parameter", "must be NAME=JSON", f"{name}=...") from None
    return parameters
