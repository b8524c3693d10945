"""What one agent does with a manager, as values: they can be drawn, shrunk and printed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import trio

from statemachine.config.call import CallOptions
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import (
    AdapterError,
    AdapterInstantiationError,
    ContentionError,
    LeaseReleasedError,
    ManagerClosedError,
)
from statemachine.manager.lease import Lease

from .expect import expect
from .recorder import Recorded
from .world import ENDLESS, World

__all__ = ["BEHAVIOURS", "Acquire", "Agent", "End", "Hold", "Operation", "Stream", "cancel", "play"]

BEHAVIOURS: dict[str, dict[str, Any]] = {
    "quick": {},
    "slow": {"load_seconds": 3, "unload_seconds": 2, "token_seconds": 1},
    "start fails": {"load_seconds": 1, "fail_start": True, "unload_seconds": 1},
    "start hangs": {"load_seconds": ENDLESS, "succeed_late": True},
    "shutdown fails": {"unload_seconds": 1, "fail_shutdown": True},
    "shutdown hangs": {"unload_seconds": ENDLESS},
    "stream fails": {"token_seconds": 1, "fail_after": 1},
    "stream breaks": {"token_seconds": 1, "fail_after": 1, "fault": "break", "cleanup_seconds": 1},
    "stream is cut": {"fail_after": 2, "fault": "truncate", "cleanup_seconds": 1, "cleanup_shielded": True},
    "construction fails": {"fail_construction": True},
}


@dataclass(frozen=True)
class Acquire:
    """Ask for a lease and keep it; None: for the configured time."""

    provider: str
    behaviour: str
    timeout: float | None
    priority: int


@dataclass(frozen=True)
class Stream:
    """A call through the engine, left after ``take`` events (None: read to its end)."""

    provider: str
    behaviour: str
    take: int | None


@dataclass(frozen=True)
class Hold:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True)
class End:
    """End the latest lease, in one of many ways."""

    how: Literal["release", "twice", "broken", "drop"]


Operation: TypeAlias = Acquire | Stream | Hold | End


@dataclass(frozen=True)
class Agent:
    """What one task does, from when on, and when it is cancelled."""

    begins: float
    cancelled_after: float | None
    operations: tuple[Operation, ...]


# LeaseReleasedError: granted, and revoked by the close of the same instant before the engine looked at the lease.
_EXPECTED = (ContentionError, AdapterInstantiationError, AdapterError, ManagerClosedError, LeaseReleasedError)


async def play(agent: Agent, world: World, scope: trio.CancelScope) -> None:
    """Do what ``agent`` does; refusals and the faults that were ordered are part of it, anything else is raised.

    Cancelled through ``scope``, by :func:`cancel`: a task of its own, so that a schedule can put it anywhere.
    """
    await trio.sleep(agent.begins)
    with scope:
        leases: list[Lease] = []
        try:
            for operation in agent.operations:
                await _do(operation, world, leases)
        finally:
            for lease in leases:
                lease.release()


async def cancel(agent: Agent, scope: trio.CancelScope) -> None:
    """Cancel ``agent`` when its time has come."""
    await trio.sleep(agent.begins + (agent.cancelled_after or 0))
    scope.cancel()


async def _do(operation: Operation, world: World, leases: list[Lease]) -> None:
    if isinstance(operation, Hold):
        await trio.sleep(operation.seconds)
    elif isinstance(operation, End):
        if leases:
            _end(operation.how, leases)
    else:
        with suppress(*_EXPECTED):
            await _request(operation, world, leases)


def _end(how: str, leases: list[Lease]) -> None:
    lease = leases.pop()
    if how == "drop":
        return
    if how == "broken" and not lease.released:
        _recorded(lease).broken_at = trio.current_time()
    lease.release(broken=how == "broken")
    if how == "twice":
        lease.release(broken=True)  # of no effect


async def _request(operation: Acquire | Stream, world: World, leases: list[Lease]) -> None:
    config = RuntimeProviderConfig(operation.provider, operation.behaviour, BEHAVIOURS[operation.behaviour])
    if isinstance(operation, Acquire):
        leases.append(await world.manager.get_adapter(config, operation.timeout, priority=operation.priority))
        _expect_unbroken(leases[-1])
        return
    options = CallOptions(provider_config=config)
    async with world.engine.call([{"role": "user", "content": "one two three"}], options) as stream:
        _expect_unbroken(stream.lease)
        taken = 0
        if operation.take == 0:
            return
        async for _ in stream:
            taken += 1
            if taken == operation.take:
                return


def _expect_unbroken(lease: Lease) -> None:
    """A broken instance is never granted, but one may break between a grant and the moment its holder wakes up."""
    if not lease.released:
        broken_at = _recorded(lease).broken_at
        expect(broken_at in (None, trio.current_time()), "a broken instance was granted", lease)


def _recorded(lease: Lease) -> Recorded:
    adapter = lease.adapter
    if not isinstance(adapter, Recorded):
        raise TypeError("agents play with recorded adapters")
    return adapter
