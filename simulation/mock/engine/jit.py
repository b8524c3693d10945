"""Just-in-time loading: a request for a model of which no instance is loaded loads one.

As LM Studio does it by default: what was loaded that way before is unloaded first, busy or not, and what was loaded explicitly is
left alone; two first requests for one model load two copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from simulation.timing.latency import ModelSpec

from .engine import Engine, Progress
from .instance import ServerInstance

__all__ = ["JustInTime"]


class JustInTime:
    """``evict``: whether a load unloads those before it; ``evict_busy``: also those at work, which are waited for otherwise.

    ``race``: whether two first requests for one model both load it; if not, the second waits for the first one's load.
    """

    def __init__(self, engine: Engine, *, evict: bool, evict_busy: bool, race: bool) -> None:
        self._engine = engine
        self._evict = evict
        self._evict_busy = evict_busy
        self._race = race
        self._under_way: dict[str, trio.Event] = {}

    async def load(
        self, model: ModelSpec, config: Mapping[str, Any], *, ttl: float | None, progress: Progress | None = None
    ) -> ServerInstance:
        """Load an instance of ``model`` for a request. Raises LoadFailedError."""
        while not self._race and (other := self._under_way.get(model.key)) is not None:
            await other.wait()
            if (instance := self._engine.find(model.key)) is not None:
                return instance
        over = self._under_way[model.key] = trio.Event()
        try:
            await self._make_room()
            return await self._engine.load(model, config, jit=True, ttl=ttl, progress=progress)
        finally:
            over.set()
            if self._under_way.get(model.key) is over:
                del self._under_way[model.key]

    async def _make_room(self) -> None:
        for instance in self._engine.loaded if self._evict else ():
            if not instance.jit:
                continue
            while not self._evict_busy and instance.jobs:
                await instance.idle.wait()
            if instance.state == "loaded":  # it may be gone by its turn
                await self._engine.unload(instance)
