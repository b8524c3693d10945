"""What the mock server holds: downloaded models, resident instances, and the rules by which they come and go.

The rules are LM Studio's, since 0.4: an explicit load always makes another instance, waits for nothing and evicts nothing, and
stays until it is unloaded. A chat for a model of which no instance is loaded loads one (just in time), after it has unloaded
what was loaded that way before, busy or not. Two such chats at once load two copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import trio

from statemachine.checks import shown
from statemachine.errors import ConfigurationError

from ...timing.latency import LatencyProfile, ModelSpec
from ..faults import Faults
from .instance import Instance, Job

__all__ = ["Counters", "LMStudioState", "LoadFailedError"]

Emit = Callable[[str], Awaitable[bool]]
"""Takes one piece of an answer; returns whether more is wanted."""


class LoadFailedError(Exception):
    """The model could not be loaded; the text says why."""


@dataclass(slots=True)
class Counters:
    """Since the server was made. ``peak_resident``: instances that took up memory at the same time.

    ``answered``: answers made to the last token; ``cut``: ended by an unload; ``abandoned``: ended by their clients.
    """

    loads: int = 0
    load_failures: int = 0
    unloads: int = 0
    answered: int = 0
    cut: int = 0
    abandoned: int = 0
    peak_resident: int = 0


class LMStudioState:
    """The server without its wire format. ``resident`` are all instances that take up memory, by id: loading, loaded, unloading."""

    def __init__(self, models: Sequence[ModelSpec], profile: LatencyProfile | None = None, *, jit: bool = True) -> None:
        self.models: Final = {model.key: model for model in models}
        if not models or len(self.models) != len(models):
            raise ConfigurationError("models", "must be one or more, with different keys", shown(models))
        self.profile: Final = profile or LatencyProfile()
        self.jit: Final = jit
        self.resident: dict[str, Instance] = {}
        self.counters: Final = Counters()
        self.faults: Final = Faults()
        self._loads: Counter[str] = Counter()
        self._unloads: Counter[str] = Counter()

    @property
    def loaded(self) -> tuple[Instance, ...]:
        """The instances that answer, oldest first."""
        return tuple(instance for instance in self.resident.values() if instance.state == "loaded")

    async def load(self, model: ModelSpec, config: Mapping[str, Any], *, jit: bool = False) -> Instance:
        """Load one more instance of ``model``. Raises LoadFailedError."""
        failure = self.faults.take_load()
        instance = self._new_instance(model, config, jit)
        self._loads[model.key] += 1
        began = trio.current_time()
        try:
            await trio.sleep(self.profile.load_seconds(model, self._loads[model.key]))
            if failure is not None:
                raise LoadFailedError(failure)
        except BaseException:
            self.counters.load_failures += 1
            del self.resident[instance.id]
            raise
        instance.load_seconds = trio.current_time() - began
        instance.state = "loaded"
        self.counters.loads += 1
        return instance

    async def unload(self, instance: Instance) -> None:
        """Unload a loaded instance; the answers that it is making are cut."""
        instance.state = "unloading"
        for job in instance.jobs:
            job.cut()
        self._unloads[instance.model.key] += 1
        try:
            await trio.sleep(self.profile.unload_seconds(instance.model, self._unloads[instance.model.key]))
        finally:
            del self.resident[instance.id]
            self.counters.unloads += 1

    def find(self, name: str) -> Instance | None:
        """The loaded instance that answers for ``name``, which is an instance's id or a model's key."""
        by_id = self.resident.get(name)
        if by_id is not None and by_id.state == "loaded":
            return by_id
        return next((instance for instance in self.loaded if instance.model.key == name), None)

    async def load_just_in_time(self, model: ModelSpec) -> Instance:
        """Load ``model`` for a request. Raises LoadFailedError."""
        for instance in self.loaded:
            if instance.jit and instance.state == "loaded":  # it may be gone by its turn
                await self.unload(instance)
        return await self.load(model, {}, jit=True)

    async def generate(self, instance: Instance, job: Job, emit: Emit) -> bool:
        """Make the answer, piece by piece; whether ``emit`` took all of it. Raises ModelUnloadedError or ClientGoneError."""
        assert instance.state == "loaded", "nothing may be awaited between finding an instance and using it"
        instance.jobs[job] = None
        try:
            await job.wait(instance.slots.acquire)
            try:
                return await self._run(instance, job, emit)
            finally:
                instance.slots.release()
        finally:
            del instance.jobs[job]

    async def _run(self, instance: Instance, job: Job, emit: Emit) -> bool:
        model = instance.model
        read = job.prompt_tokens * self._slowdown(instance) * job.pace
        await job.prefill(read / model.prefill_tokens_per_second)
        done = 0
        for tokens in self.profile.chunks(len(job.tokens)):
            made = tokens * self._slowdown(instance) * job.pace  # as things are when the piece is begun
            await job.wait(trio.sleep, made / model.decode_tokens_per_second)
            if not await emit("".join(job.tokens[done : done + tokens])):
                return False
            done += tokens
        return True

    def _slowdown(self, instance: Instance) -> float:
        at_work = sum(1 for other in self.resident.values() if other.running)
        return self.profile.slowdown(instance.running, at_work)

    def _new_instance(self, model: ModelSpec, config: Mapping[str, Any], jit: bool) -> Instance:
        config = {
            "context_length": model.context_length,
            "eval_batch_size": 512,
            "parallel": model.parallel,
            "flash_attention": True,
            "offload_kv_cache_to_gpu": True,
            **config,
        }
        instance = Instance(self._free_id(model.key), model, config, jit, trio.Semaphore(config["parallel"]))
        self.resident[instance.id] = instance
        self.counters.peak_resident = max(self.counters.peak_resident, len(self.resident))
        return instance

    def _free_id(self, key: str) -> str:
        """The lowest that is free; which one the real server takes is not documented."""
        ids = (key if number == 1 else f"{key}:{number}" for number in count(1))
        return next(id_ for id_ in ids if id_ not in self.resident)
