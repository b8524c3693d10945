"""The gateway itself: what all requests share.

``Gateway`` is made inside a running ProviderManager and lives as long as that. How one request is
read is in :mod:`.entrance`, its way in :mod:`.passage`, the paths are in :mod:`.app`, the process in :mod:`.serve`.
"""

from __future__ import annotations

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
from .under_way import UnderWay
from .waiting import WaitingRoom

__all__ = ["Gateway", "GatewayObservers", "RequestUnderWay"]

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
    """``observers`` must be those of the manager. ``recorder`` writes the workload.

    ``requests`` and ``pages`` count what is under way; pages are what the gateway answers by itself. ``held_bytes`` is what it has of the
    bodies of all requests.
    """

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
        self.requests = UnderWay()
        self.pages = UnderWay()
        self.held_bytes = 0

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
        """Count a request that has its lease."""
        self.metrics.granted(agent, model, lease)
        self.agents.served(agent, lease.queued_seconds + lease.loading_seconds)

    @property
    def is_done(self) -> bool:
        """Whether it drains, and no request is under way any more."""
        return self.draining.is_set() and not self.requests.count


class RequestUnderWay:
    """One request, which is under way for the length of the ``with`` block, also while it is refused."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._held = 0

    def __enter__(self) -> RequestUnderWay:
        self._gateway.requests.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._gateway.held_bytes -= self._held
        self._gateway.requests.__exit__()

    def check(self) -> None:
        """Raise RefusedError where no request is taken."""
        if self._gateway.draining.is_set():
            raise RefusedError(Problem(503, "closing", "the gateway is closing", "server_error", retry_after=1))
        most = self._gateway.settings.requests_limit
        if self._gateway.requests.count > most:
            text = f"{most} requests are under way, the most that are taken at a time"
            raise RefusedError(Problem(503, "too_many_requests", text, "server_error", retry_after=1))

    def hold(self, size: int) -> None:
        """Count bytes of its body, which are kept until its end. Raises RefusedError where the bodies of all would be too large."""
        held, most = self._gateway.held_bytes, self._gateway.settings.bodies_limit
        if held + size > most:
            text = f"the requests under way have {held} bytes, and all of them may have {most} at a time"
            raise RefusedError(Problem(503, "too_many_bytes", text, "server_error", retry_after=1))
        self._gateway.held_bytes += size
        self._held += size
