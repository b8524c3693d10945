"""The gateway itself: what all requests share.

``Gateway`` is made inside a running ProviderManager and lives as long as that. How one request is
read is in :mod:`.entrance`, its way in :mod:`.passage`, the paths are in :mod:`.app`, the process in :mod:`.serve`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from statemachine import ConfigurationError, Lease, Observer, ProviderManager, RuntimeProviderConfig

from .agents import RecentAgents
from .catalogue import Catalogue
from .history import History
from .loads import Loads
from .metrics import Metrics
from .problems import Problem
from .reading import RefusedError
from .recording import Recorder, Recording
from .settings import GatewaySettings
from .waiting import WaitingRoom

__all__ = ["Gateway", "GatewayObservers"]

POOLS_REMEMBERED: Final = 1024


class GatewayObservers:
    """What watches the manager's transitions."""

    def __init__(self) -> None:
        self.loads = Loads()
        self.history = History()

    def all(self) -> tuple[Observer, ...]:
        """Return them, for the manager."""
        return (self.loads, self.history)


class Gateway:
    """``observers`` must be those of the manager. ``idle`` is set while no request is under way. ``recorder`` writes the workload."""

    def __init__(
        self,
        settings: GatewaySettings,
        manager: ProviderManager,
        catalogue: Catalogue,
        observers: GatewayObservers,
        recorder: Recorder | None = None,
    ) -> None:
        self.settings = settings
        self.manager = manager
        self.catalogue = catalogue
        self.history = observers.history
        self.agents = RecentAgents()
        self.waiting = WaitingRoom(observers.loads, settings.waiting_per_agent)
        self.metrics = Metrics(manager.statistics, lambda: len(self.waiting))
        self._recorder = recorder
        self._pools: dict[tuple[str, str], str] = {}
        self.draining = trio.Event()
        self.under_way = 0
        self.idle = trio.Event()
        self.idle.set()

    def reload(self, settings: GatewaySettings) -> None:
        """Take over aliases, limits, times and the token. Raises ConfigurationError, and changes nothing, where anything else differs."""
        if settings.fixed != self.settings.fixed:
            rule = "must stay as they are while the gateway runs: providers, manager, host and port need a restart"
            raise ConfigurationError("config", rule, "a change of them")
        self.settings = settings
        self.catalogue.settings = settings
        self.waiting.per_agent = settings.waiting_per_agent

    def pool_of(self, provider: str, model: str) -> str:
        """Return the name of the pool in which requests for the model wait for each other."""
        if (known := self._pools.get((provider, model))) is None:
            known = self.settings.manager.resolve(RuntimeProviderConfig(provider, model)).pool[1]
            if len(self._pools) < POOLS_REMEMBERED:
                self._pools[provider, model] = known
        return known

    def recorded(self, agent: str, model: str, request_bytes: int) -> Recording | None:
        """Note that a request has come; return its record, where the workload is recorded."""
        return None if self._recorder is None else self._recorder.asked(agent, model, request_bytes)

    def granted(self, agent: str, model: str, lease: Lease) -> None:
        """Note that a request has its lease."""
        self.metrics.granted(agent, model, lease)
        self.agents.served(agent, lease.queued_seconds + lease.loading_seconds)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a request for the length of the block. Raises RefusedError where none is taken."""
        if self.draining.is_set():
            raise RefusedError(Problem(503, "closing", "the gateway is closing", "server_error", retry_after=1))
        if self.under_way >= self.settings.requests_limit:
            text = f"{self.under_way} requests are under way, the most that are taken at a time"
            raise RefusedError(Problem(503, "too_many_requests", text, "server_error", retry_after=1))
        if not self.under_way:
            self.idle = trio.Event()
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
            if not self.under_way:
                self.idle.set()
