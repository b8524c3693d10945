"""Wrong coordinators: policies that starve a request, or do not keep their word."""

from __future__ import annotations

from collections.abc import Hashable

from statemachine.config.providers import PoolKey
from statemachine.core.coordinator import Coordinator
from statemachine.core.events import TimerKind
from statemachine.core.index import Instance, Pool
from statemachine.core.ledger import Ledger
from statemachine.core.placement import Placement
from statemachine.policies import BasePolicy, Bound, Choice, Gated, Line, Pause, Rank, Waiter


class ResidentFirst(BasePolicy):
    """A policy without a bound: the model served last goes first for as long as anybody wants it."""

    bound = Bound(passes=None, late=None)

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._turn = ""

    def arrived(self, waiter: Waiter) -> None:
        self._lines.setdefault(waiter.signature, Line()).add(waiter)

    def placed(self, waiter: Waiter) -> None:
        self._turn = waiter.signature
        self.left(waiter)

    def left(self, waiter: Waiter) -> None:
        self._lines[waiter.signature].remove(waiter)

    def choose(self) -> Choice | None:
        if line := self._lines.get(self._turn):
            return Choice(line.first, "same model")
        oldest = [line.first for line in self._lines.values() if line]
        return Choice(min(oldest), "oldest") if oldest else None

    def snapshot(self, rank: Rank) -> Hashable:
        return self._turn

    def restore(self, memory: Hashable) -> None:
        self._turn = str(memory)


class _Starves(Ledger):
    def new_pool(self, key: PoolKey) -> Pool:
        pool = super().new_pool(key)
        pool.policy = ResidentFirst()
        return pool


class Starves(Coordinator):
    """Serves the resident model while any request wants it, whatever policy was configured."""

    ledger_type = _Starves


class _SaysGated(Gated):
    """Serves one model for as long as anybody wants it."""

    def choose(self) -> Choice | Pause | None:
        line = self._lines.get(self._turn)
        return super().choose() if line is None else Choice(line.first, "same model")


class _PausesWithoutEnd(Ledger):
    def keep(self, pool: Pool, instance: Instance, end: float) -> None:
        pool.kept = instance


class PausesWithoutEnd(Coordinator):
    """Keeps an idle instance when the policy asks for it, and arms no deadline."""

    ledger_type = _PausesWithoutEnd


class _RefusesForAPause(Placement):
    def pauses(self, pool: Pool, pause: Pause) -> bool:
        if super().pauses(pool, pause) or pool.kept is not None:
            return True
        kept = [i for i in pool.idle.values() if i.demand.signature == pause.signature]
        for instance in kept:
            self.ledger.keep(pool, instance, instance.idle_since + pause.milliseconds / 1000)
        return bool(kept)


class RefusesForAPause(Coordinator):
    """Keeps an idle instance when the policy asks for it, though the queue is full."""

    placement_type = _RefusesForAPause


class _PausesAgain(Ledger):
    def end_pause(self, pool: Pool) -> None:
        kept, pool.kept = pool.kept, None
        if kept is not None:
            self.timers.disarm(TimerKind.PAUSE, kept.id)


class PausesAgain(Coordinator):
    """Does not tell the policy that a pause is over, so that it asks for another."""

    ledger_type = _PausesAgain


class _Dawdles(Gated):
    """Says that it is work-conserving, and keeps each model for a while."""

    def __init__(self) -> None:
        super().__init__()
        self._paused = False

    def placed(self, waiter: Waiter) -> None:
        super().placed(waiter)
        self._paused = False

    def paused(self, milliseconds: int) -> None:
        self._paused = True

    def choose(self) -> Choice | Pause | None:
        if self._others and not self._paused and self._turn not in self._lines:
            return Pause(self._turn, 1000, "no hurry")
        return super().choose()

    def snapshot(self, rank: Rank) -> Hashable:
        return super().snapshot(rank), self._paused

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        gate, self._paused = memory
        super().restore(gate)


class _LiesAboutItsWork(Ledger):
    def new_pool(self, key: PoolKey) -> Pool:
        pool = super().new_pool(key)
        pool.policy = _Dawdles()
        return pool


class LiesAboutItsWork(Coordinator):
    """Pauses under a policy that says it does not."""

    ledger_type = _LiesAboutItsWork


class _LiesAboutItsBound(Ledger):
    def new_pool(self, key: PoolKey) -> Pool:
        pool = super().new_pool(key)
        pool.policy = _SaysGated()
        return pool


class LiesAboutItsBound(Coordinator):
    """Promises what Gated promises, whatever policy was configured, and does not keep it."""

    ledger_type = _LiesAboutItsBound
