"""The server of the field: a mock LM Studio, time scaled, whose memory holds one model at a time. It writes down what it is asked to do.

``python -m benchmarks.field.server``: reads its settings from standard input, prints its URL, and when standard input ends, what it saw.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import trio

from simulation.mock.engine.engine import LoadFailedError, Progress
from simulation.mock.engine.instance import ServerInstance
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.lmstudio.fields import HUGE
from simulation.mock.serve import serve
from simulation.timing.latency import DEFAULT_MODELS, LatencyProfile, ModelSpec

__all__ = ["DEEP", "PARALLEL", "QUICK", "WatchedServer", "models"]

QUICK, DEEP = (model for model in DEFAULT_MODELS if model.key in ("qwen3.5-4b", "openai/gpt-oss-20b"))
PARALLEL: Final = 4
TOKENS_PER_CHUNK: Final = 16


def models(speed: float) -> list[ModelSpec]:
    """The two models, ``speed`` times as fast as they are."""
    return [
        replace(
            model,
            load_seconds=model.load_seconds / speed,
            unload_seconds=model.unload_seconds / speed,
            prefill_tokens_per_second=model.prefill_tokens_per_second * speed,
            decode_tokens_per_second=model.decode_tokens_per_second * speed,
            parallel=PARALLEL,
            context_length=HUGE,
            max_context_length=HUGE,
        )
        for model in (QUICK, DEEP)
    ]


class WatchedServer(MockLMStudio):
    """Notes each load and unload with the time: ``(seconds, what, model, answers under way)``."""

    def __init__(self, speed: float) -> None:
        profile = LatencyProfile(tokens_per_chunk=TOKENS_PER_CHUNK)
        super().__init__(models(speed), profile, memory_bytes=max(QUICK.size_bytes, DEEP.size_bytes))
        self.seen: list[tuple[float, str, str, int]] = []

    async def load(
        self,
        model: ModelSpec,
        config: Mapping[str, Any],
        *,
        jit: bool = False,
        ttl: float | None = None,
        progress: Progress | None = None,
    ) -> ServerInstance:
        """Load as asked, if the memory allows it."""
        others = [instance.model.key for instance in self.resident.values()]
        if others:
            self._see("a copy of what is there" if model.key in others else "two at once", model.key)
        self._see("load", model.key)
        try:
            instance = await super().load(model, config, jit=jit, ttl=ttl, progress=progress)
        except LoadFailedError:
            self._see("refused", model.key)
            raise
        self._see("loaded", model.key)
        return instance

    async def unload(self, instance: ServerInstance) -> None:
        """Unload as asked, busy or not."""
        self._see("unload", instance.model.key, len(instance.jobs))
        await super().unload(instance)
        self._see("gone", instance.model.key)

    def _see(self, what: str, model: str, answers: int = 0) -> None:
        self.seen.append((time.monotonic(), what, model, answers))


async def _serve(speed: float) -> None:
    server = WatchedServer(speed)
    async with serve(server, port=0) as url:
        print(url, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
    seen = {"events": server.seen, "cut": server.counters.cut, "answered": server.counters.answered}
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    trio.run(_serve, float(sys.argv[1]))
