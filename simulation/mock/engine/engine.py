"""What a mock server holds: downloaded models, resident instances, and the answers that these make.

A load always makes another instance, waits for nothing and evicts nothing. Where a request may load its model is said in ``jit``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Protocol

import trio

from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine.checks import shown
from statemachine.errors import ConfigurationError

from ..faults import Faults
from .instance import CutError, Job, Piece, ServerInstance

__all__ = ["Engine", "LoadFailedError", "Progress", "ServerCounters", "Sink"]

Progress = Callable[[float], Awaitable[None]]
"""Is told how much has been done, from 0 to 1."""

STEPS: Final = 4  # in which progress is told

GUARDRAIL: Final = (
    "Model loading was stopped due to insufficient system resources. Under the current settings, this model requires"
    " approximately {:.2f} GB of memory, and continuing to load it would likely overload your system and cause it to freeze."
    " If you think this is incorrect, you can adjust the model loading guardrails in settings."
)


class Sink(Protocol):
    """Takes an answer as it is made."""

    reading: Progress | None  # is told of the prompt's progress

    async def add(self, pieces: Sequence[Piece]) -> bool:
        """Take the next pieces; returns whether more are wanted."""
        ...


class LoadFailedError(Exception):
    """The model could not be loaded; the text says why."""


@dataclass(slots=True)
class ServerCounters:
    """Since the server was made. ``peak_resident``: instances that took up memory at the same time.

    ``answered``: answers made to the last token; ``cut``: ended by an unload or a crash; ``abandoned``: ended by their clients.
    """

    loads: int = 0
    load_failures: int = 0
    unloads: int = 0
    answered: int = 0
    cut: int = 0
    abandoned: int = 0
    peak_resident: int = 0


class Engine:
    """A server without its wire format. ``memory_bytes`` bounds what is resident (None: nothing does). Raises ConfigurationError."""

    def __init__(
        self, models: Sequence[ModelSpec], profile: LatencyProfile | None = None, *, memory_bytes: int | None = None
    ) -> None:
        self.models: Final = {model.key: model for model in models}
        if not models or len(self.models) != len(models):
            raise ConfigurationError("models", "must be one or more, with different keys", shown(models))
        self.profile: Final = profile or LatencyProfile()
        self.counters: Final = ServerCounters()
        self.faults: Final = Faults()
        self._memory_bytes = memory_bytes
        self._resident: dict[str, ServerInstance] = {}
        self._loads: Counter[str] = Counter()
        self._unloads: Counter[str] = Counter()

    @property
    def resident(self) -> dict[str, ServerInstance]:
        """The instances that take up memory, by id: loading, loaded, unloading. One whose time to live is over is gone, at once."""
        if any(instance.ttl is not None for instance in self._resident.values()):
            now = trio.current_time()
            for instance in [i for i in self._resident.values() if i.expires <= now]:
                self._remove(instance)
        return self._resident

    @property
    def loaded(self) -> tuple[ServerInstance, ...]:
        """The instances that answer, oldest first."""
        return tuple(instance for instance in self.resident.values() if instance.state == "loaded")

    def find(self, name: str) -> ServerInstance | None:
        """Return the loaded instance that answers for ``name``, which is an instance's id or a model's key."""
        by_id = self.resident.get(name)
        if by_id is not None and by_id.state == "loaded":
            return by_id
        return next((instance for instance in self.loaded if instance.model.key == name), None)

    # ---- loading and unloading ----

    async def load(
        self,
        model: ModelSpec,
        config: Mapping[str, Any],
        *,
        jit: bool = False,
        ttl: float | None = None,
        progress: Progress | None = None,
    ) -> ServerInstance:
        """Load one more instance of ``model``. Raises LoadFailedError."""
        self._check_memory(model)
        failure = self.faults.take_load()
        instance = self._new_instance(model, config, jit, ttl)
        self._loads[model.key] += 1
        began = trio.current_time()
        try:
            with instance.loading:
                await _sleep(self.profile.load_seconds(model, self._loads[model.key]), progress)
            if instance.loading.cancelled_caught:
                failure = "Operation canceled."
            if failure is not None:
                raise LoadFailedError(failure)
        except BaseException:
            self.counters.load_failures += 1
            del self._resident[instance.id]
            raise
        instance.idle_since = trio.current_time()
        instance.load_seconds = instance.idle_since - began
        instance.state = "loaded"
        self.counters.loads += 1
        return instance

    async def unload(self, instance: ServerInstance) -> None:
        """Unload a loaded instance; the answers that it is making are cut."""
        instance.state = "unloading"
        _cut(instance, CutError("Model unloaded"))
        self._unloads[instance.model.key] += 1
        try:
            await trio.sleep(self.profile.unload_seconds(instance.model, self._unloads[instance.model.key]))
        finally:
            if self._resident.get(instance.id) is instance:  # no crash came first
                self._remove(instance)

    def crash(self, instance: ServerInstance, message: str) -> None:
        """Let the engine of a loaded instance fail: the instance is gone, and its answers are cut with ``message``."""
        instance.state = "unloading"
        del self._resident[instance.id]
        _cut(instance, CutError(message, crashed=True))

    def _remove(self, instance: ServerInstance) -> None:
        del self._resident[instance.id]
        self.counters.unloads += 1

    def _check_memory(self, model: ModelSpec) -> None:
        taken = sum(instance.model.size_bytes for instance in self.resident.values())
        if self._memory_bytes is not None and taken + model.size_bytes > self._memory_bytes:
            self.counters.load_failures += 1
            raise LoadFailedError(GUARDRAIL.format(model.size_bytes / 1e9))

    def _new_instance(
        self, model: ModelSpec, config: Mapping[str, Any], jit: bool, ttl: float | None
    ) -> ServerInstance:
        config = {
            "context_length": model.context_length,
            "eval_batch_size": 512,
            "parallel": model.parallel,
            "flash_attention": True,
            "offload_kv_cache_to_gpu": True,
            **config,
        }
        slots = trio.Semaphore(config["parallel"])
        instance = ServerInstance(self._free_id(model.key), model, config, jit, slots, ttl)
        self._resident[instance.id] = instance
        self.counters.peak_resident = max(self.counters.peak_resident, len(self._resident))
        return instance

    def _free_id(self, key: str) -> str:
        """Return the lowest free id; which one the real server takes is not documented."""
        ids = (key if number == 1 else f"{key}:{number}" for number in count(1))
        return next(id_ for id_ in ids if id_ not in self._resident)

    # ---- answers ----

    async def generate(self, instance: ServerInstance, job: Job, sink: Sink) -> bool:
        """Make the answer, piece by piece; whether ``sink`` took all of it. Raises CutError or ClientGoneError."""
        if instance.state != "loaded":
            raise CutError("Model unloaded")
        instance.enter(job)
        try:
            await job.wait(instance.slots.acquire)
            try:
                return await self._run(instance, job, sink)
            finally:
                instance.slots.release()
        finally:
            instance.leave(job)

    async def _run(self, instance: ServerInstance, job: Job, sink: Sink) -> bool:
        await self._read_prompt(instance, job, sink.reading)
        done = 0
        for tokens in self.profile.chunks(len(job.pieces)):
            made = tokens * self._slowdown(instance) * job.pace  # as things are when the piece is begun
            await job.wait(trio.sleep, made / instance.model.decode_tokens_per_second)
            if not await sink.add(job.pieces[done : done + tokens]):
                return False
            done += tokens
        return True

    async def _read_prompt(self, instance: ServerInstance, job: Job, reading: Progress | None) -> None:
        seconds = job.prompt_tokens * self._slowdown(instance) * job.pace / instance.model.prefill_tokens_per_second
        if reading is None:
            await job.prefill(seconds)
            return
        for step in range(STEPS):
            await reading(step / STEPS)
            await job.prefill(seconds / STEPS)
        await reading(1.0)

    def _slowdown(self, instance: ServerInstance) -> float:
        at_work = sum(1 for other in self._resident.values() if other.running)
        return self.profile.slowdown(instance.running, max(at_work, 1))


def _cut(instance: ServerInstance, error: CutError) -> None:
    for job in instance.jobs:
        job.cut(error)


async def _sleep(seconds: float, progress: Progress | None) -> None:
    if progress is None:
        await trio.sleep(seconds)
        return
    for step in range(STEPS):
        await progress(step / STEPS)
        await trio.sleep(seconds / STEPS)
    await progress(1.0)
