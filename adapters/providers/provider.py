"""Make models of any provider from a configuration. A handle is made without waiting, shared, and checked; calls go through leases.

Local servers are coordinated: an LM Studio server by its :class:`LMStudioSingleton`, other servers by the provider manager, with a slot
for each endpoint. API providers have pools with limits.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from statemachine.checks import check_timeout
from statemachine.config.adapter import Adapter, AdapterConfig
from statemachine.config.identity import public_url
from statemachine.config.providers import ProviderConfig, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import ManagerClosedError, ProviderManagerError
from statemachine.manager.engine import ReasoningEngine
from statemachine.manager.hosting import Host
from statemachine.manager.manager import ProviderManager
from statemachine.manager.observing import Observer
from statemachine.text import fit_to_show

from ..http.health import Health
from ..http.library import Transport
from .config import AgentModelConfig, ModelConfig
from .home import Home, in_trio
from .kinds import KINDS, provider_of
from .lmstudio_singleton import LMStudioSingleton
from .model import Model, SyncModel
from .sharing import get_lmstudio_singleton

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AgentModels", "ConnectionStatus", "ModelProvider", "SyncAgentModels"]

Config: TypeAlias = ModelConfig | Mapping[str, Any]
CHECK_SECONDS: Final = 5.0


@dataclass(frozen=True)
class AgentModels:
    """The two models of an application's agents, for trio and for asyncio."""

    quick: Model
    deep: Model


@dataclass(frozen=True)
class SyncAgentModels:
    """The two models of an application's agents, for plain threads."""

    quick: SyncModel
    deep: SyncModel


@dataclass(frozen=True)
class ConnectionStatus:
    """The state of a provider. ``ready``: a call would be served now, so a local model is loaded. ``detail`` says why not.

    ``base_url`` has no user info and query. ``seconds``: how long the test took.
    """

    provider: str
    model: str
    base_url: str | None
    reachable: bool
    ready: bool
    detail: str
    seconds: float


class ModelProvider:
    """``async with ModelProvider() as provider``, in trio or in asyncio; ``with ModelProvider() as provider`` in plain code.

    ``providers`` are further ones, by names of their own; ``transport`` replaces the network of all others, for tests. ``observers`` are
    told of every state change, of an LM Studio server's too. ``settings`` are those of a ProviderManagerConfig. Local requests wait
    for one another, unless ``on_conflict`` says otherwise. Raises ConfigurationError.
    """

    def __init__(
        self,
        providers: Sequence[ProviderConfig] = (),
        *,
        transport: Transport | None = None,
        observers: Sequence[Observer] = (),
        **settings: Any,
    ) -> None:
        own = {provider.name for provider in providers}
        known = [provider_of(name, transport) for name in KINDS if name not in own]
        given = {"local_scope": "endpoint", "on_conflict": "wait", **settings}
        self._manager = ProviderManager(ProviderManagerConfig([*providers, *known], **given), observers=observers)
        self._engine = ReasoningEngine(self._manager)
        self._own = own
        self._transport = transport
        self._observers = tuple(observers)
        self._host = Host(self._life())
        self._entered: Any = None
        self._home: Home | None = None
        self._stack = AsyncExitStack()
        self._opening = trio.Lock()
        self._lmstudio: dict[str, LMStudioSingleton] = {}
        self._models: dict[str, Model] = {}

    # ---- its life ----

    async def __aenter__(self) -> Self:
        self._entered = self._life() if in_trio() else self._host
        await self._entered.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._entered.__aexit__(kind, error, trace)

    def __enter__(self) -> Self:
        self._host.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._host.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close what a plain call of :meth:`create_model` has opened. The interpreter's exit does so too."""
        self.__exit__(None, None, None)

    @asynccontextmanager
    async def _life(self) -> AsyncGenerator[Self, None]:
        async with self._manager, self._stack:
            self._home = Home()
            try:
                yield self
            finally:
                self._home = None

    @property
    def home(self) -> Home:
        """The trio run of this provider. Raises ManagerClosedError before it is entered and after it is left."""
        if self._home is None:
            raise ManagerClosedError("enter the ModelProvider first: async with ModelProvider() as provider")
        return self._home

    # ---- making models ----

    async def create_model_async(self, config: Config) -> Model:
        """Make a handle of the model. Nothing is loaded yet. The same configuration gives the same handle. Raises ConfigurationError."""
        checked = self.validate_config(config)
        return await self.home.call(partial(self._create, checked))

    async def create_agent_models_async(self, quick: Config, deep: Config) -> AgentModels:
        """Make handles of the models for quick and for deep thinking."""
        return AgentModels(await self.create_model_async(quick), await self.create_model_async(deep))

    async def create_from_config(self, config: Mapping[str, Any]) -> AgentModels:
        """Make handles of the models in an application's configuration, see :meth:`AgentModelConfig.of`. Raises ConfigurationError."""
        wanted = AgentModelConfig.of(config)
        return await self.create_agent_models_async(wanted.quick, wanted.deep)

    async def preload_model(self, config: Config) -> Model:
        """Load the model, and return its handle: the first call then need not wait. Raises what loading raises."""
        checked = self.validate_config(config)
        return await self.home.call(partial(self._preload, checked))

    def create_model(self, config: Config) -> SyncModel:
        """Make a handle for plain code, by the background thread, started if need be. Deprecated: see :meth:`create_model_async`."""
        _deprecated("create_model", "create_model_async")
        return self._create_from_thread(self.validate_config(config))

    def create_agent_models(self, quick: Config, deep: Config) -> SyncAgentModels:
        """Make handles for plain code. Deprecated: see :meth:`create_agent_models_async`."""
        _deprecated("create_agent_models", "create_agent_models_async")
        wanted = self.validate_config(quick), self.validate_config(deep)
        return SyncAgentModels(*map(self._create_from_thread, wanted))

    def _create_from_thread(self, config: ModelConfig) -> SyncModel:
        if self._home is None:
            self.__enter__()
        return SyncModel(self.home.wait(partial(self._create, config)), self.home)

    # ---- looking ----

    def validate_config(self, config: Config) -> ModelConfig:
        """Check the configuration, including the adapter's options, and return it. No server is asked. Raises ConfigurationError."""
        checked = ModelConfig.of(config)
        self._manager.config.provider(checked.provider)
        if checked.provider not in self._own:
            KINDS[checked.provider].factory()(self._adapter_config(checked))
        return checked

    async def test_connection(self, config: Config, *, timeout: float | None = CHECK_SECONDS) -> ConnectionStatus:
        """Return the state of the provider, within ``timeout`` seconds. A server that is down is no error. Raises ConfigurationError."""
        check_timeout("timeout", timeout)
        checked = self.validate_config(config)
        return await self.home.call(partial(self._look, checked, timeout))

    async def provider_status(
        self, *configs: Config, timeout: float | None = CHECK_SECONDS
    ) -> tuple[ConnectionStatus, ...]:
        """Return the states of several providers at once, in their order; see :meth:`test_connection`."""
        check_timeout("timeout", timeout)
        checked = [self.validate_config(config) for config in configs]
        return await self.home.call(partial(self._look_at_all, checked, timeout))

    # ---- in its home ----

    async def _create(self, config: ModelConfig) -> Model:
        runtime = self._runtime(config)
        key = f"{runtime.config_signature} {json.dumps(dict(config.parameters), sort_keys=True)}"
        if key not in self._models:
            if self._is_lmstudio(config):
                server = await self._server(config)
                model = Model(server.home, server.engine, runtime, config.parameters)
            else:
                model = Model(self.home, self._engine, runtime, config.parameters)
            self._models.setdefault(key, model)
        return self._models[key]

    async def _preload(self, config: ModelConfig) -> Model:
        model = await self._create(config)
        if self._is_lmstudio(config):
            await (await self._server(config)).activate(model.config)
        else:
            await model.load_in_trio()
        return model

    def _is_lmstudio(self, config: ModelConfig) -> bool:
        return config.provider == "lmstudio" and config.provider not in self._own

    async def _server(self, config: ModelConfig) -> LMStudioSingleton:
        """Open the singleton of the configuration's server until this provider closes, and return it."""
        url = config.base_url or "http://localhost:1234"
        async with self._opening:
            if public_url(url) not in self._lmstudio:
                shared = get_lmstudio_singleton(url, transport=self._transport, observers=self._observers)
                self._lmstudio[public_url(url)] = await self._stack.enter_async_context(shared)
        return self._lmstudio[public_url(url)]

    async def _look(self, config: ModelConfig, timeout: float | None) -> ConnectionStatus:
        adapter_config = self._adapter_config(config)
        adapter = self._manager.config.provider(config.provider).adapter(adapter_config)
        began, health = trio.current_time(), Health(False, False, f"no answer within {timeout} s")
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            health = await _health(adapter)
        seconds = trio.current_time() - began
        with trio.move_on_after(1, shield=True):
            if (shutdown := getattr(adapter, "shutdown", None)) is not None:
                await shutdown()
        url = adapter_config.options.get("base_url", getattr(adapter, "default_base_url", None))
        shown = None if url is None else public_url(url)
        detail = fit_to_show(health.detail) or ("" if health.ready else "the model is not loaded")
        return ConnectionStatus(config.provider, config.model, shown, health.reachable, health.ready, detail, seconds)

    async def _look_at_all(self, configs: Sequence[ModelConfig], timeout: float | None) -> tuple[ConnectionStatus, ...]:
        found: dict[int, ConnectionStatus] = {}

        async def look(number: int, config: ModelConfig) -> None:
            found[number] = await self._look(config, timeout)

        async with trio.open_nursery() as nursery:
            for number, config in enumerate(configs):
                nursery.start_soon(look, number, config)
        return tuple(found[number] for number in range(len(configs)))

    def _options(self, config: ModelConfig) -> dict[str, Any]:
        if config.provider in self._own:
            return {
                **({} if config.base_url is None else {"base_url": config.base_url}),
                **({} if config.api_key is None else {"api_token": config.api_key}),
                **config.options,
            }
        return {**KINDS[config.provider].options(config.base_url, config.api_key), **config.options}

    def _runtime(self, config: ModelConfig) -> RuntimeProviderConfig:
        return RuntimeProviderConfig(config.provider, config.model, self._options(config))

    def _adapter_config(self, config: ModelConfig) -> AdapterConfig:
        base = self._manager.config.provider(config.provider).base_options
        return AdapterConfig(config.provider, config.model, {**base, **self._options(config)})


async def _health(adapter: Adapter) -> Health:
    ask = getattr(adapter, "health", None)
    if ask is None:
        return Health(False, False, f"{type(adapter).__name__} has no health() to ask")
    try:
        health: Health = await ask()
    except ProviderManagerError as error:
        return Health(False, False, str(error))
    return health


def _deprecated(name: str, instead: str) -> None:
    warnings.warn(f"{name}() blocks its thread: await {instead}() instead", DeprecationWarning, stacklevel=3)
