"""A manager's whole life with concurrent agents, in virtual time, with adapters that are slow, fail and hang, and what must hold of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import trio

from .agents import Agent, cancel, play
from .expect import expect
from .recorder import Recorded
from .subject import PRODUCTION, Subject
from .world import World

__all__ = ["Life", "live"]

SHUTDOWN_TIMEOUT = 5
GRACE = 3


@dataclass(frozen=True)
class Life:
    """What happens in the life of a manager.

    ``lasts``: when its block is left, in virtual seconds; None: when all agents are done, and it still grants after that. ``ends``: how.
    ``parallel``: of the slot ``local``. ``options``: further fields of the manager's configuration.
    """

    agents: tuple[Agent, ...]
    lasts: float | None = None
    ends: Literal["leave", "raise", "cancel"] = "leave"
    parallel: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


class _LeftError(Exception):
    """The body's own exception."""


async def live(life: Life, subject: Subject = PRODUCTION) -> None:
    """Run it. Raises DoesNotHoldError; under explored schedules the check of every step is a violation."""
    world = _Life(life, subject)
    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        agents_are_done = trio.Event()
        with scope, suppress(_LeftError):  # bare, not in a group
            nursery.start_soon(_crew, life.agents, world.world, agents_are_done)
            await world.body(agents_are_done, scope)
        world.closed = trio.current_time()
    world.check_it_is_over()


async def _crew(agents: Sequence[Agent], world: World, done: trio.Event) -> None:
    async with trio.open_nursery() as nursery:
        for number, agent in enumerate(agents):
            scope = trio.CancelScope()
            nursery.start_soon(play, agent, world, scope, name=f"agent {number}")
            if agent.cancelled_after is not None:
                nursery.start_soon(cancel, agent, scope, name=f"end of agent {number}")
    done.set()


class _Life:
    """A manager of one API provider and two local ones, and what is known of its life."""

    def __init__(self, life: Life, subject: Subject) -> None:
        self.life = life
        self.world = World(
            subject,
            {"api": {}, "local": {"is_local": True, "parallel": life.parallel}, "other": {"is_local": True}},
            shutdown_timeout=SHUTDOWN_TIMEOUT,
            close_grace=GRACE,
            **life.options,
        )
        self.left = self.closed = 0.0

    async def body(self, agents_are_done: trio.Event, scope: trio.CancelScope) -> None:
        async with self.world.manager:
            if self.life.lasts is None:
                await agents_are_done.wait()
                await self._rest_and_still_grant()
            else:
                await trio.sleep(self.life.lasts)
            self.left = trio.current_time()
            if self.life.ends == "raise":
                raise _LeftError
            if self.life.ends == "cancel":
                scope.cancel()
                await trio.lowlevel.checkpoint()

    async def _rest_and_still_grant(self) -> None:
        """The agents have gone: nothing is left of them but idle instances, and starts that outlive their requesters for a while."""
        await trio.lowlevel.checkpoint()  # a lease that was dropped a moment ago is gone only now
        self.world.outside.check_nothing_is_served()
        await trio.sleep(30)
        statistics = self.world.manager.statistics()
        expect(all(p.live == p.idle for p in statistics.providers.values()), "something is under way for no request")
        if self.world.config.api_instance_idle_timeout_seconds is not None:
            expect(statistics.providers["api"].live == 0, "an idle time-out has passed unnoticed")
        await self.world.check_it_still_grants(SHUTDOWN_TIMEOUT + 1)

    def check_it_is_over(self) -> None:
        """Closed in time, nothing left, calls left alone, and never too many at once."""
        grace = GRACE if self.life.ends == "leave" else 0
        expect(self.closed <= self.left + grace + SHUTDOWN_TIMEOUT, "closing took too long", self.closed - self.left)
        self.world.outside.check_nothing_is_left()
        for adapter in self.world.recorder.adapters:  # unless the lease was revoked when the grace was over
            expect(all(m.time >= self.left + grace for m in adapter.overlaps), "a call and a shutdown overlap")
        pools: dict[str, list[Recorded]] = {}
        for adapter in self.world.recorder.adapters:
            pools.setdefault(self._pool(adapter.config.provider_name), []).append(adapter)
        limit = self.world.config.max_parallel_api_instances_per_provider
        for name, adapters in pools.items():
            _check_never_more_than(limit if name == "api" else 1, adapters)

    def _pool(self, provider: str) -> str:
        return "slot" if provider != "api" and self.world.config.local_scope == "all" else provider


def _check_never_more_than(limit: int, adapters: Sequence[Recorded]) -> None:
    """At the birth of each, fewer than ``limit`` others are up. An abandoned one does not count from that time on."""
    for new in adapters:
        up = [a for a in adapters if a.born.number < new.born.number and not _was_down(a, new)]
        expect(len(up) < limit, "too many adapters are up at once", len(up) + 1)


def _was_down(old: Recorded, new: Recorded) -> bool:
    if old.down is None:
        return False
    return old.down.number < new.born.number or (old.given_up and old.down.time <= new.born.time)
