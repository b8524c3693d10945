"""Priorities for any policy: one queue for each priority."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from .policy import Choice, Pause, Policy, PolicyFactory, Rank, Waiter

__all__ = ["Prioritised"]


class _Level:
    """One priority's policy, and how many of that priority wait."""

    __slots__ = ("policy", "waiting")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.waiting = 0


class Prioritised:
    """A policy made of one policy for each priority: the highest priority whose policy has a choice decides.

    A priority without waiters is dropped, with what its policy has learnt. Only the one that was served last stays, because its policy
    may remember the model that is loaded.
    """

    def __init__(self, policy: PolicyFactory) -> None:
        self._policy = policy
        self._levels: dict[int, _Level] = {}  # by priority, the highest first
        self._served: int | None = None  # the priority served last
        self._unused: Policy | None = policy()
        self.bound: Final = self._unused.bound
        self.work_conserving: Final = self._unused.work_conserving
        self.charges: Final = getattr(self._unused, "charges", True)
        """Whether the policy makes anything of :meth:`served`. If not, it need not be called."""

    def arrived(self, waiter: Waiter) -> None:
        level = self._levels.get(waiter.priority) or self._add(waiter.priority)
        level.waiting += 1
        level.policy.arrived(waiter)

    def placed(self, waiter: Waiter) -> None:
        priority = waiter.priority
        level = self._levels[priority]
        level.policy.placed(waiter)
        level.waiting -= 1
        if priority != self._served:
            before, self._served = self._served, priority
            if before is not None:
                self._forget_if_over(before)

    def left(self, waiter: Waiter) -> None:
        level = self._levels[waiter.priority]
        level.policy.left(waiter)
        level.waiting -= 1
        self._forget_if_over(waiter.priority)

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        for level in self._levels.values():
            level.policy.loaded(signature, milliseconds)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        level = self._levels.get(waiter.priority)
        if level is not None:
            level.policy.served(waiter, milliseconds)

    def paused(self, milliseconds: int) -> None:
        for level in self._levels.values():
            level.policy.paused(milliseconds)

    def choose(self) -> Choice | Pause | None:
        for level in self._levels.values():
            choice = level.policy.choose()
            if choice is not None:
                return choice
        return None

    def snapshot(self, rank: Rank) -> Hashable:
        memories = ((priority, level.policy.snapshot(rank)) for priority, level in self._levels.items())
        return self._served, tuple([one for one in memories if one[1] != ()])

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._served, memories = memory
        for priority, one in memories:
            level = self._levels.get(priority) or self._add(priority)
            level.policy.restore(one)

    def _add(self, priority: int) -> _Level:
        level = _Level(self._unused or self._policy())
        self._unused = None
        self._levels = dict(sorted([*self._levels.items(), (priority, level)], reverse=True))
        return level

    def _forget_if_over(self, priority: int) -> None:
        level = self._levels.get(priority)  # None: a policy that remembers nothing was not restored
        if level is not None and priority != self._served and not level.waiting:
            del self._levels[priority]
