"""One coordinator per LM Studio server: everything that opens the same server, in any spelling, gets the same one.

LM Studio loads and unloads whenever it is told to, even while a model generates, and it loads a model twice if it is asked twice. So all
users of one server share one :class:`LMStudioSingleton`, which uses the provider manager: one instance at a time, no switch while a lease
is held, and the old model is seen unloaded before the new one is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from statemachine.config.adapter import AdapterConfig
from statemachine.config.identity import public_url
from statemachine.config.providers import ProviderConfig, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.core.statistics import SlotStatistics
from statemachine.errors import AdapterConnectError, AdapterError, ModelEvictedError
from statemachine.manager.background import current
from statemachine.manager.engine import ReasoningEngine
from statemachine.manager.manager import ProviderManager

from ..http.library import Transport
from ..lmstudio import LMStudioAdapter
from .home import Home, in_trio
from .hosted import ServerSettings, open_servers
from .measuring import Attempts, MeasuredAdapter, ServerCounts
from .model import Model

__all__ = ["LMStudioMetrics", "LMStudioSingleton"]

PROVIDER: Final = "lmstudio"
_TRIES: Final = 3


@dataclass(frozen=True)
class LMStudioMetrics:
    """The figures of one server. Attempts are counted when they end, as successes or failures.

    ``calls``: by model. ``instances``: loaded now, one or none. ``handles``: how many models were asked for.
    """

    base_url: str
    load: Attempts
    unload: Attempts
    switch: Attempts
    calls: Mapping[str, int]
    instances: int
    handles: int
    current_model: str | None


class LMStudioSingleton:
    """The coordinator of one server. Opened by ``async with get_lmstudio_singleton(base_url) as server``, in trio or asyncio.

    Model options (``context_length``, ...) are those of :class:`LMStudioAdapter`, and part of an instance's identity; parameters such
    as the temperature go with a call.
    """

    def __init__(self, base_url: str, settings: ServerSettings) -> None:
        self.base_url: Final = public_url(base_url)
        self.home: Final = Home()
        self._ledger = ServerCounts()
        self._models: dict[str, Model] = {}
        provider = ProviderConfig(
            PROVIDER,
            partial(_measured, self._ledger, settings.transport),
            is_local=True,
            parallel=settings.parallel,
            base_options={"base_url": base_url, **settings.options},
        )
        self.manager: Final = ProviderManager(
            ProviderManagerConfig([provider], local_scope="endpoint", on_conflict="wait", **settings.manager),
            observers=settings.observers,
        )
        self.engine: Final = ReasoningEngine(self.manager)

    # ---- what users call, from trio or asyncio ----

    async def ensure_model_active(self, model_id: str, **options: Any) -> None:
        """Load the model, after waiting for the users of another one. Later calls may switch again: only a lease holds a model.

        The server is asked: a model that was unloaded there by hand is loaded again. Raises AdapterInstantiationError, AdapterError.
        """
        await self.home.call(partial(self.activate, _wanted(model_id, options)))

    async def switch(self, model_id: str, **options: Any) -> None:
        """Load the model; another name of :meth:`ensure_model_active`."""
        await self.ensure_model_active(model_id, **options)

    async def preload(self, model_id: str, **options: Any) -> None:
        """Load the model; another name of :meth:`ensure_model_active`: the first call then need not wait for the load."""
        await self.ensure_model_active(model_id, **options)

    async def get_model(self, model_id: str, **options: Any) -> Model:
        """Return a handle of the model, loaded by now. The same configuration gives the same handle."""
        config = _wanted(model_id, options)
        await self.home.call(partial(self.activate, config))
        return self.model(config)

    async def unload(self, model_id: str | None = None) -> bool:
        """Unload the model (None: the one that is loaded) as soon as it is not in use. Returns whether there was something to unload.

        Raises AdapterError if the server may still have it.
        """
        return await self.home.call(partial(self._unload, model_id))

    async def clear(self) -> None:
        """Drop all handles, and unload the model that is loaded."""
        await self.home.call(self._clear)

    @property
    def current_model(self) -> str | None:
        """The model that is loaded, as far as is known here; None: none. :meth:`ensure_model_active` asks the server."""
        return self.home.read(self._current)

    def metrics(self) -> LMStudioMetrics:
        """Return the figures of this server."""
        return self.home.read(self._metrics)

    @staticmethod
    def all_metrics() -> dict[str, LMStudioMetrics]:
        """Return the figures of every open server, by base URL: of this trio run, or of those that were opened from asyncio and threads."""
        background = current()
        if in_trio():
            return _all_metrics()
        return {} if background is None else background.read(_all_metrics)

    def model(self, config: RuntimeProviderConfig, parameters: Mapping[str, Any] | None = None) -> Model:
        """Return a handle without loading. The same configuration gives the same handle, unless there are ``parameters``."""
        if parameters:
            return Model(self.home, self.engine, config, parameters)
        return self._models.setdefault(config.config_signature, Model(self.home, self.engine, config))

    # ---- in its home ----

    def _slot(self) -> SlotStatistics | None:
        return next(iter(self.manager.statistics().slots.values()), None)

    def _current(self) -> str | None:
        slot = self._slot()
        return slot.model if slot is not None and slot.state in ("busy", "resident") else None

    def _metrics(self) -> LMStudioMetrics:
        ledger = self._ledger
        calls = MappingProxyType(dict(ledger.calls))
        loaded, handles = len(ledger.live), len(self._models)
        return LMStudioMetrics(
            self.base_url, ledger.load, ledger.unload, ledger.switch, calls, loaded, handles, self._current()
        )

    async def activate(self, config: RuntimeProviderConfig) -> None:
        """Do :meth:`ensure_model_active`, in its home."""
        for _ in range(_TRIES):
            async with self.manager.acquire(config) as lease:
                assert isinstance(lease.adapter, MeasuredAdapter), "the factory makes no other"
                health = await lease.adapter.health()
                if health.ready:
                    return
                if not health.reachable:
                    raise AdapterConnectError(f"{self.base_url}: {health.detail}")
                lease.drain()  # the server has dropped it
        raise ModelEvictedError(f"{self.base_url}: {config.model_id} is dropped as soon as it is loaded")

    async def _unload(self, model_id: str | None) -> bool:
        loaded = next((a for a in self._ledger.live if model_id in (None, a.config.model_id)), None)
        if loaded is None:
            return False
        config = RuntimeProviderConfig(PROVIDER, loaded.config.model_id, loaded.config.options)
        async with self.manager.acquire(config) as lease:
            adapter = lease.adapter
            lease.drain()
        assert isinstance(adapter, MeasuredAdapter), "the factory makes no other"
        await adapter.down.wait()
        self._ledger.forget_the_last()
        if isinstance(adapter.unload_error, AdapterError):
            raise adapter.unload_error
        return True

    async def _clear(self) -> None:
        self._models.clear()
        await self._unload(None)


def _wanted(model_id: str, options: Mapping[str, Any]) -> RuntimeProviderConfig:
    return RuntimeProviderConfig(PROVIDER, model_id, options)


def _measured(ledger: ServerCounts, transport: Transport | None, config: AdapterConfig) -> MeasuredAdapter:
    return MeasuredAdapter(LMStudioAdapter(config, transport=transport), config, ledger)


def _all_metrics() -> dict[str, LMStudioMetrics]:
    return {url: hosted.server._metrics() for url, hosted in open_servers().items()}
