"""What the managers for asyncio and for plain threads have in common: a manager in the background thread, and its leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from ..checks import shown
from ..config.adapter import Adapter
from ..config.call import CallOptions, Message, StreamEvent
from ..config.providers import ProviderManagerConfig
from ..errors import ConfigurationError
from .broken import says_broken
from .engine import ReasoningEngine, ThreadConfigs
from .hosting import Crossing, Host
from .lease import Lease
from .manager import Observer, ProviderManager

if TYPE_CHECKING:
    from ..core.statistics import Statistics

__all__ = ["BridgedEngine", "BridgedLease", "BridgedManager", "close_events", "open_events", "release_lease"]


class BridgedManager:
    """A :class:`ProviderManager` that lives in the background thread. ``observers`` are called there."""

    def __init__(self, config: ProviderManagerConfig, *, observers: Sequence[Observer] = ()) -> None:
        self.config = config
        self.manager = ProviderManager(config, observers=observers)
        self.host = Host(self.manager)

    @property
    def available_providers(self) -> tuple[str, ...]:
        """The providers' names, in the order of the configuration."""
        return self.manager.available_providers

    def statistics(self) -> Statistics:
        """Take a frozen picture, see :meth:`ProviderManager.statistics`. It waits for one step of the background thread.

        Raises ManagerClosedError before and after the manager's life.
        """
        return self.host.background.read(self.manager.statistics)


Manager = TypeVar("Manager", bound=BridgedManager)


class BridgedEngine(Generic[Manager]):
    """A :class:`ReasoningEngine` beside the manager. Raises ConfigurationError for a manager of another kind."""

    manager_type: ClassVar[type[BridgedManager]]

    def __init__(self, manager: Manager, state: ThreadConfigs | None = None) -> None:
        if not isinstance(manager, self.manager_type):
            raise ConfigurationError("manager", f"must be a {self.manager_type.__name__}", shown(manager))
        self.host = manager.host
        self.engine = ReasoningEngine(manager.manager, state)


class BridgedLease:
    """What a lease tells and takes from any thread. Dropped, it drops the lease, which warns and is released."""

    def __init__(self, host: Crossing, lease: Lease) -> None:
        self.host = host
        self.lease = lease

    @property
    def released(self) -> bool:
        """Whether the lease is over."""
        return self.lease.released

    @property
    def provider_name(self) -> str:
        """The provider of the leased instance."""
        return self.lease.provider_name

    @property
    def model_id(self) -> str:
        """The model of the leased instance."""
        return self.lease.model_id

    @property
    def ticket(self) -> int:
        """The number of the request, as observers see it."""
        return self.lease.ticket

    @property
    def queued_seconds(self) -> float:
        """The time spent in the queue."""
        return self.lease.queued_seconds

    @property
    def loading_seconds(self) -> float:
        """The time spent on the start, or on the shutdown that made room for it."""
        return self.lease.loading_seconds

    def release(self, broken: bool = False) -> None:
        """Give the lease back, from any thread; again is a no-op. See :meth:`Lease.release`."""
        self.lease.release(broken)

    def leave(self, error: BaseException | None) -> None:
        """Give it back at the end of its block, which ``error`` leaves, if there is one. Nothing has to be waited for."""
        self.release(says_broken(error, self.lease._number))

    def drain(self) -> None:
        """Report the instance broken. See :meth:`Lease.drain`."""
        self.lease.drain()

    def leased(self) -> Adapter:
        """Return the adapter itself, which runs in the background thread. Raises LeaseReleasedError once the lease is over."""
        return self.lease.adapter

    def __repr__(self) -> str:
        return repr(self.lease)


# What the two sides have done in the background thread.


async def open_events(adapter: Adapter, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
    """Yield the events of one call of ``adapter``."""
    return adapter.call(prompt, options)


async def close_events(events: AsyncIterator[StreamEvent]) -> None:
    """Close what :func:`open_events` has returned, where it can be closed."""
    if (aclose := getattr(events, "aclose", None)) is not None:
        await aclose()


async def release_lease(lease: Lease) -> None:
    """Give ``lease`` back."""
    lease.release()
