"""Wrong models: how many instances live, of what, and in whose place."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.index import Instance, Pool, Request


class StartsAnother(Coordinator):
    """Can start an instance where there is no room."""

    def _start_another(self, pool: Pool, request: Request) -> None:
        instance = self._new_instance(pool, request.demand)
        self._assign(pool, instance, request)
        self._start(pool, instance)


class LimitIgnored(StartsAnother):
    """Starts one instance more than there is room for."""

    def _place(self, pool: Pool, request: Request) -> bool:
        if super()._place(pool, request):
            return True
        if pool.live == pool.limit:
            self._start_another(pool, request)
            return True
        return False


class NewBeforeOld(StartsAnother):
    """A switch starts the new instance before the old one is down."""

    def _succeed(self, pool: Pool, leaving: Instance, request: Request) -> None:
        self._start_another(pool, request)


class Miscounts(Coordinator):
    """Forgets to count an instance that is down as gone."""

    def _evict(self, instance: Instance, failed: bool) -> None:
        pool = self.pools[instance.demand.pool]
        super()._evict(instance, failed)
        pool.live += instance.successor is None


class SaturationForgotten(Coordinator):
    """The pool's own state is not kept up to date."""

    def _update(self, pool: Pool) -> None:
        if self.closing:
            super()._update(pool)


class HoardsIdle(StartsAnother):
    """What is idle does not count: others are started beside it, and it is used again without asking for room."""

    def _place(self, pool: Pool, request: Request) -> bool:
        known = request.signature in pool.usable or request.signature in pool.loading
        if known or pool.live < pool.limit or pool.live - len(pool.idle) >= pool.limit:
            return super()._place(pool, request)
        self._start_another(pool, request)
        return True


class NeverMakesRoom(Coordinator):
    """Keeps what is idle, whoever needs its place."""

    def _place(self, pool: Pool, request: Request) -> bool:
        known = request.signature in pool.usable or request.signature in pool.loading
        return (known or pool.live < pool.limit) and super()._place(pool, request)


class KeepsTheOldModel(StartsAnother):
    """A switch leaves idle models where they are."""

    def _place(self, pool: Pool, request: Request) -> bool:
        if not pool.is_slot or not pool.idle or request.signature in pool.usable:
            return super()._place(pool, request)
        self._start_another(pool, request)
        return True
