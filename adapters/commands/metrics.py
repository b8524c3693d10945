"""``metrics``: ask models of an LM Studio server in turn, and report what loads, unloads, switches and calls cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import trio

from statemachine.errors import ConfigurationError
from statemachine.shell.options import argument, option

from ..lmstudio import LMStudioAdapter
from ..providers.lmstudio_singleton import LMStudioMetrics
from ..providers.sharing import get_lmstudio_singleton
from .server import LocalServerOptions
from .show import print_rows

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(LocalServerOptions):
    """Which models are asked, and how often. The server is an LM Studio, which alone has a coordinator that counts."""

    model: tuple[str, ...] = argument("a model; several are asked in turn", count="+")
    rounds: int = option(1, "how often each is asked", least=1)

    def __post_init__(self) -> None:
        if self.provider != "lmstudio":
            raise ConfigurationError(
                "--provider", "must be lmstudio, which has a coordinator that counts", self.provider
            )


def run(options: Options) -> int:
    """Ask and report. Returns the exit status. Raises ProviderManagerError."""
    print_rows(_rows(trio.run(_measured, options)), as_json=options.json)
    return 0


async def _measured(options: Options) -> LMStudioMetrics:
    token: dict[str, Any] = {} if options.api_key is None else {"api_token": options.api_key}
    url = options.base_url or LMStudioAdapter.default_base_url
    async with get_lmstudio_singleton(url, **token) as server:
        for _ in range(options.rounds):
            for name in options.model:
                model = await server.get_model(name)
                await model.invoke("Say hello.", max_tokens=8)
        await server.unload()
        return server.metrics()


def _rows(metrics: LMStudioMetrics) -> list[dict[str, Any]]:
    return [
        {
            "what": what,
            "attempts": counted.attempts,
            "successes": counted.successes,
            "failures": counted.failures,
            "mean seconds": counted.mean_seconds,
            "most seconds": counted.most_seconds,
        }
        for what, counted in (("load", metrics.load), ("unload", metrics.unload), ("switch", metrics.switch))
    ]
