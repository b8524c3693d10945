"""Which models Ollama holds: its scheduler's rules, as far as clients see them.

A request for a model that is loaded with the same options shares its runner, past the queue. Every other request waits in one queue,
first come, first served: it needs room, and an idle runner makes room, the one whose time to live is shortest. A busy runner is never
stopped: it stops when it is idle. A request with other options for a loaded model has that runner stopped and loads it again. The queue
is bounded.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from ...timing.latency import LatencyProfile, ModelSpec
from ..faults import Faults

__all__ = ["LoadFailedError", "Runner", "RunnerQueueFullError", "Runners"]

RELOADING: Final = ("num_ctx", "num_batch", "num_gpu", "num_thread", "main_gpu", "use_mmap")


class LoadFailedError(Exception):
    """The model could not be loaded; the text says why."""


class RunnerQueueFullError(Exception):
    """As many requests as the queue takes are waiting already."""


@dataclass(eq=False)
class Runner:
    """One loaded model. ``keep_alive``: how long it stays when idle, in seconds; ``idle_since`` is None while it answers."""

    model: ModelSpec
    options: Mapping[str, Any]
    keep_alive: float
    users: int = 0
    idle_since: float = 0.0
    loading: bool = True
    load_seconds: float = 0.0
    stopped: trio.Event = field(default_factory=trio.Event)

    @property
    def expires_at(self) -> float:
        return math.inf if self.users or self.loading else self.idle_since + self.keep_alive


class Runners:
    """``loaded`` by model name. ``loads`` and ``evictions`` count; ``max_loaded`` and ``max_queue`` are Ollama's environment variables."""

    def __init__(self, profile: LatencyProfile, faults: Faults, *, max_loaded: int, max_queue: int) -> None:
        self.profile = profile
        self.faults = faults
        self.max_loaded = max_loaded
        self.max_queue = max_queue
        self.loads = 0
        self.evictions = 0
        self.peak_loaded = 0
        self._loaded: dict[str, Runner] = {}
        self._turn = trio.StrictFIFOLock()
        self._changed = trio.Event()

    @property
    def loaded(self) -> dict[str, Runner]:
        """What is loaded now. A runner whose time is over is gone."""
        for name, runner in list(self._loaded.items()):
            if runner.expires_at <= trio.current_time():
                self._stop(name)
        return self._loaded

    @asynccontextmanager
    async def use(self, model: ModelSpec, options: Mapping[str, Any], keep_alive: float) -> AsyncIterator[Runner]:
        """Yield a runner for one request. Raises RunnerQueueFullError, LoadFailedError."""
        wanted = {name: value for name, value in options.items() if name in RELOADING}
        runner = self._fitting(model, wanted)
        if runner is None:
            runner = await self._queued(model, wanted, keep_alive)
        runner.users += 1
        runner.keep_alive = keep_alive
        try:
            yield runner
        finally:
            runner.users -= 1
            runner.idle_since = trio.current_time()
            self._notify()

    def expire(self, name: str) -> None:
        """Let the runner go as soon as it is idle."""
        if (runner := self.loaded.get(name)) is not None:
            runner.keep_alive = 0.0
            self._notify()

    def drop(self, name: str) -> None:
        """Stop the runner at once, as a crash does."""
        self._stop(name)

    def _fitting(self, model: ModelSpec, wanted: Mapping[str, Any]) -> Runner | None:
        runner = self.loaded.get(model.key)
        if runner is None or runner.loading or any(runner.options.get(n, v) != v for n, v in wanted.items()):
            return None
        return runner

    async def _queued(self, model: ModelSpec, wanted: Mapping[str, Any], keep_alive: float) -> Runner:
        if self._turn.statistics().tasks_waiting >= self.max_queue:
            raise RunnerQueueFullError
        async with self._turn:
            runner = self._fitting(model, wanted)
            if runner is None:
                await self._make_room(model)
                runner = await self._load(model, wanted, keep_alive)
            return runner

    async def _make_room(self, model: ModelSpec) -> None:
        while (model.key in self.loaded) or len(self.loaded) >= self.max_loaded:
            candidates = [self.loaded[model.key]] if model.key in self.loaded else list(self.loaded.values())
            idle = [runner for runner in candidates if not runner.users]
            if idle:
                self.evictions += 1
                self._stop(min(idle, key=lambda runner: (runner.keep_alive, runner.model.key)).model.key)
            else:
                await self._changed.wait()

    async def _load(self, model: ModelSpec, wanted: Mapping[str, Any], keep_alive: float) -> Runner:
        failure = self.faults.take_load()
        runner = Runner(model, {"num_ctx": model.context_length, **wanted}, keep_alive)
        self._loaded[model.key] = runner
        self.peak_loaded = max(self.peak_loaded, len(self._loaded))
        self.loads += 1
        began = trio.current_time()
        try:
            await trio.sleep(self.profile.load_seconds(model, self.loads))
            if failure is not None:
                raise LoadFailedError(failure)
        except BaseException:
            self._stop(model.key)
            raise
        runner.loading = False
        runner.idle_since = trio.current_time()
        runner.load_seconds = runner.idle_since - began
        return runner

    def _stop(self, name: str) -> None:
        runner = self._loaded.pop(name, None)
        if runner is not None:
            runner.stopped.set()
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
