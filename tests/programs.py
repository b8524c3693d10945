"""Generated programs of concurrent agents: what an agent does, as values that Hypothesis can draw, shrink and print."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import trio
from hypothesis import strategies as st

from statemachine import (
    AdapterError,
    AdapterInstantiationError,
    CallOptions,
    Lease,
    LeaseReleasedError,
    ManagerClosedError,
    ProviderManager,
    ReasoningEngine,
    RuntimeProviderConfig,
)
from statemachine.errors import ContentionError

from .recorded import Recorded

__all__ = ["AGENTS", "CONFIGS", "Agent", "play"]

FOR_EVER = 1e6
BEHAVIOURS: dict[str, dict[str, Any]] = {
    "quick": {},
    "slow": {"load_seconds": 3, "unload_seconds": 2, "token_seconds": 1},
    "start fails": {"load_seconds": 1, "fail_start": True, "unload_seconds": 1},
    "start hangs": {"load_seconds": FOR_EVER},
    "shutdown fails": {"unload_seconds": 1, "fail_shutdown": True},
    "shutdown hangs": {"unload_seconds": FOR_EVER},
    "stream fails": {"token_seconds": 1, "fail_after": 1},
    "stream breaks": {"token_seconds": 1, "fail_after": 1, "fault": "break", "cleanup_seconds": 1},
    "stream is cut": {"fail_after": 2, "fault": "truncate", "cleanup_seconds": 1, "cleanup_shielded": True},
    "construction fails": {"token_seconds": -1},
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


_PROVIDERS = st.sampled_from(["api", "local", "other"])
_BEHAVIOURS = st.sampled_from(list(BEHAVIOURS))
_SECONDS = st.sampled_from([0, 1, 2, 4])
_OPERATIONS = st.one_of(
    st.builds(Acquire, _PROVIDERS, _BEHAVIOURS, st.sampled_from([None, 0, 1, 3]), st.integers(0, 1)),
    st.builds(Hold, st.sampled_from([0, 1, 2, 4, 20])),
    st.builds(End, st.sampled_from(["release", "twice", "broken", "drop"])),
    st.builds(Stream, _PROVIDERS, _BEHAVIOURS, st.sampled_from([None, 0, 1])),
)
AGENTS = st.lists(
    st.builds(
        Agent,
        _SECONDS,
        st.sampled_from([None, None, 1, 3, 6]),
        st.lists(_OPERATIONS, min_size=1, max_size=6).map(tuple),
    ),
    min_size=1,
    max_size=5,
)
CONFIGS = st.fixed_dictionaries(
    {
        "max_parallel_api_instances_per_provider": st.integers(1, 3),
        "api_instance_idle_timeout_seconds": st.sampled_from([None, 2]),
        "on_limit": st.sampled_from(["wait", "raise"]),
        "on_conflict": st.sampled_from(["wait", "raise"]),
        "local_scope": st.sampled_from(["all", "endpoint"]),
        "max_waiting": st.sampled_from([None, 0, 2]),
        "acquire_timeout": st.just(40),  # bounds waits across pools in opposite orders, as nothing else does
        "start_timeout": st.sampled_from([8, 20]),
    }
)


# LeaseReleasedError: granted, and revoked by the close of the same instant before the engine looked at the lease.
_EXPECTED = (ContentionError, AdapterInstantiationError, AdapterError, ManagerClosedError, LeaseReleasedError)


async def play(agent: Agent, manager: ProviderManager) -> None:
    """Do what ``agent`` does; refusals and the faults that were ordered are part of it, anything else is raised."""
    await trio.sleep(agent.begins)
    with trio.move_on_after(float("inf") if agent.cancelled_after is None else agent.cancelled_after):
        leases: list[Lease] = []
        try:
            for operation in agent.operations:
                await _do(operation, manager, leases)
        finally:
            for lease in leases:
                lease.release()


async def _do(operation: Operation, manager: ProviderManager, leases: list[Lease]) -> None:
    if isinstance(operation, Hold):
        await trio.sleep(operation.seconds)
    elif isinstance(operation, End):
        if leases:
            _end(operation.how, leases)
    else:
        with suppress(*_EXPECTED):
            await _request(operation, manager, leases)


def _end(how: str, leases: list[Lease]) -> None:
    lease = leases.pop()
    if how == "drop":
        return
    if how == "broken" and not lease.released:
        assert isinstance(lease.adapter, Recorded)
        lease.adapter.broken_at = trio.current_time()
    lease.release(broken=how == "broken")
    if how == "twice":
        lease.release(broken=True)  # of no effect


async def _request(operation: Acquire | Stream, manager: ProviderManager, leases: list[Lease]) -> None:
    config = RuntimeProviderConfig(operation.provider, operation.behaviour, BEHAVIOURS[operation.behaviour])
    if isinstance(operation, Acquire):
        leases.append(await manager.get_adapter(config, operation.timeout, priority=operation.priority))
        _assert_unbroken(leases[-1])
        return
    options = CallOptions(provider_config=config)
    async with ReasoningEngine(manager).call([{"role": "user", "content": "one two three"}], options) as stream:
        _assert_unbroken(stream.lease)
        taken = 0
        if operation.take == 0:
            return
        async for _ in stream:
            taken += 1
            if taken == operation.take:
                return


def _assert_unbroken(lease: Lease) -> None:
    """Nobody is granted a broken instance, but one may break between a grant and the moment its holder wakes up."""
    if not lease.released:
        assert isinstance(lease.adapter, Recorded)
        assert lease.adapter.broken_at in (None, trio.current_time())
