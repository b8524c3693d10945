"""Wrong coordinators: how many instances live, of what, and in whose place."""

from __future__ import annotations

from statemachine.core.coordinator import Coordinator
from statemachine.core.index import Instance, Pool, Request
from statemachine.core.ledger import Ledger
from statemachine.core.placement import Placement


class _StartsAnother(Placement):
    def start_another(self, pool: Pool, request: Request) -> None:
        """Start an instance, whether or not there is room."""
        instance = self.ledger.new_instance(pool, request.demand)
        self.ledger.assign(pool, instance, request)
        self.ledger.start(pool, instance)

    def is_known(self, pool: Pool, request: Request) -> bool:
        """Whether an instance is eligible for ``request`` or loading for its signature."""
        return request.signature in pool.eligible or request.signature in pool.loading


class _LimitIgnored(_StartsAnother):
    def place(self, pool: Pool, request: Request) -> bool:
        if super().place(pool, request):
            return True
        if pool.live == pool.limit:
            self.start_another(pool, request)
            return True
        return False


class LimitIgnored(Coordinator):
    """Starts one instance more than there is room for."""

    placement_type = _LimitIgnored


class _NewBeforeOld(_StartsAnother):
    def reserve(self, pool: Pool, leaving: Instance, request: Request) -> None:
        if leaving.state == "idle":
            self.ledger.stop(pool, leaving)
        self.start_another(pool, request)


class NewBeforeOld(Coordinator):
    """A switch starts the new instance before the old one is down."""

    placement_type = _NewBeforeOld


class Miscounts(Coordinator):
    """Does not count an instance that is down as gone."""

    def _evict(self, instance: Instance, failed: bool) -> None:
        pool = self.pools[instance.demand.pool]
        super()._evict(instance, failed)
        pool.live += instance.successor is None


class _SaturationForgotten(Ledger):
    def update(self, pool: Pool) -> None:
        pass


class SaturationForgotten(Coordinator):
    """Does not keep the pool's own state up to date."""

    ledger_type = _SaturationForgotten


class _HoardsIdle(_StartsAnother):
    def place(self, pool: Pool, request: Request) -> bool:
        if self.is_known(pool, request) or pool.live < pool.limit or pool.live - len(pool.idle) >= pool.limit:
            return super().place(pool, request)
        self.start_another(pool, request)
        return True


class HoardsIdle(Coordinator):
    """Does not count idle instances: it starts others beside them, and uses them again without asking for room."""

    placement_type = _HoardsIdle


class _NeverMakesRoom(_StartsAnother):
    def place(self, pool: Pool, request: Request) -> bool:
        return (self.is_known(pool, request) or pool.live < pool.limit) and super().place(pool, request)


class NeverMakesRoom(Coordinator):
    """Keeps idle instances although another signature needs their place."""

    placement_type = _NeverMakesRoom


class _KeepsTheOldModel(_StartsAnother):
    def place(self, pool: Pool, request: Request) -> bool:
        if not pool.is_slot or not pool.idle or request.signature in pool.eligible:
            return super().place(pool, request)
        self.start_another(pool, request)
        return True


class KeepsTheOldModel(Coordinator):
    """A switch leaves idle models loaded."""

    placement_type = _KeepsTheOldModel
