"""The command ``serve``: the mock LM Studio server on a real socket, until it is interrupted."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from ..mock.lmstudio import MockLMStudio
from ..mock.serve import LM_STUDIO_PORT, serve
from ..timing.latency import DEFAULT_MODELS, LatencyProfile, ModelSpec
from .options import option

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the server serves, and where."""

    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(LM_STUDIO_PORT, "port, 0 for a free one", least=0, most=65535)
    seed: int = option(0, "seed of latencies and answers")
    model: tuple[str, ...] = option(
        (),
        "a downloaded model, with default latencies; may be repeated"
        f" (default: {', '.join(model.key for model in DEFAULT_MODELS)})",
        metavar="KEY",
    )


def run(options: Options) -> int:
    """Serve until interrupted, which is how a server is stopped: status 0. Raises ConfigurationError, OSError."""
    models = tuple(map(ModelSpec, options.model)) or DEFAULT_MODELS
    server = MockLMStudio(models, LatencyProfile(seed=options.seed))
    try:
        trio.run(_until_interrupted, server, options.host, options.port)
    except* KeyboardInterrupt:
        pass
    return 0


async def _until_interrupted(server: MockLMStudio, host: str, port: int) -> None:
    async with serve(server, host, port) as url:
        print(f"{url} serves {', '.join(server.models)}", flush=True)
        await trio.sleep_forever()
