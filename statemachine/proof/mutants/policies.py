"""Wrong models: policies that starve somebody."""

from __future__ import annotations

from collections.abc import Hashable

from ...config import PoolKey
from ...model import Model
from ...policies import BasePolicy, Bound, Choice, Gated, Line, Rank, Waiter
from ...pool import Pool


class ResidentFirst(BasePolicy):
    """A policy without a bound: the model served last goes first for as long as anybody wants it."""

    bound = Bound(passes=None, late=None)

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._model = ""

    def arrived(self, waiter: Waiter) -> None:
        self._lines.setdefault(waiter.signature, Line()).add(waiter)

    def placed(self, waiter: Waiter) -> None:
        self._model = waiter.signature
        self.left(waiter)

    def left(self, waiter: Waiter) -> None:
        self._lines[waiter.signature].remove(waiter)

    def choose(self) -> Choice | None:
        if line := self._lines.get(self._model):
            return Choice(line.first, "same model")
        oldest = [line.first for line in self._lines.values() if line]
        return Choice(min(oldest), "oldest") if oldest else None

    def snapshot(self, rank: Rank) -> Hashable:
        return self._model

    def restore(self, memory: Hashable) -> None:
        self._model = str(memory)


class Starves(Model):
    """Serves the resident model for as long as anybody wants it, whatever policy was configured."""

    def _new_pool(self, key: PoolKey) -> Pool:
        pool = super()._new_pool(key)
        pool.policy = ResidentFirst()
        return pool


class _SaysGated(Gated):
    """Serves one model for as long as anybody wants it."""

    def choose(self) -> Choice | None:
        line = self._lines.get(self._model)
        return super().choose() if line is None else Choice(line.first, "same model")


class LiesAboutItsBound(Model):
    """Promises what Gated promises, whatever policy was configured, and does not keep it."""

    def _new_pool(self, key: PoolKey) -> Pool:
        pool = super()._new_pool(key)
        pool.policy = _SaysGated()
        return pool
