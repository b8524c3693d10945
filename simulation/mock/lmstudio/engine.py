"""Which instance answers for a name, by the rules of LM Studio's versions: loaded, loaded just in time, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import trio

from simulation.timing.latency import LatencyProfile, ModelSpec

from ..engine.engine import Engine
from ..engine.instance import ServerInstance
from ..engine.jit import JustInTime
from . import errors
from .catalogue import DownloadedModel, described
from .settings import Settings

__all__ = ["LMStudioEngine"]


class LMStudioEngine(Engine):
    """The engine, with LM Studio's rules of who answers. Raises ConfigurationError."""

    def __init__(self, models: Sequence[ModelSpec], profile: LatencyProfile | None, settings: Settings) -> None:
        downloaded = [described(model) for model in models]
        if not settings.profile.batches:
            downloaded = [replace(model, parallel=1) for model in downloaded]
        super().__init__(downloaded, profile, memory_bytes=settings.memory_bytes)
        self.settings: Final = settings
        self.jit: Final = JustInTime(
            self, evict=settings.auto_evict, evict_busy=settings.evict_busy, race=settings.racing_loads
        )
        self._first_request: float | None = None

    def locate(self, name: str, kind: str = "llm") -> ServerInstance | DownloadedModel:
        """Return what answers for ``name``: a loaded instance, or a model that must be loaded first. Raises Refusal."""
        found = self.find(name) or self.models.get(name) or self._guess(name)
        model = self.spec(found) if isinstance(found, ServerInstance) else described(found)
        if (model.kind == "embedding") != (kind == "embedding"):
            raise errors.cannot_answer(kind)
        if isinstance(found, ServerInstance):
            return found
        if not self.settings.jit:
            raise self._nothing_loaded()
        return model

    def spec(self, instance: ServerInstance) -> DownloadedModel:
        """Return what the lists say of an instance's model."""
        return described(instance.model)

    def now(self) -> float:
        """Return the time on trio's clock, in which instances count theirs."""
        return trio.current_time()

    def unix_time(self) -> float:
        """Return the time of day, which goes on with trio's clock."""
        now = self.now()
        self._first_request = now if self._first_request is None else self._first_request
        return self.settings.epoch + now - self._first_request

    def _guess(self, name: str) -> ServerInstance:
        """Return what an old version takes for ``name``, which is not known. Raises Refusal."""
        version = self.settings.profile
        if version.guesses_model and not self.settings.jit:
            if not self.loaded:
                raise self._nothing_loaded()
            if len(self.loaded) > 1:
                ids = [instance.id for instance in self.loaded]
                raise errors.several_models_loaded(version.unknown_model_status, name, ids)
            return self.loaded[0]
        if name.partition("@")[0] in self.models and not self.loaded:
            raise self._nothing_loaded()
        raise errors.invalid_model(version.unknown_model_status, name, self.models)

    def _nothing_loaded(self) -> errors.Refusal:
        version = self.settings.profile
        return errors.no_models_loaded(version.unknown_model_status, flat=version.flat_no_models)
