"""Priorities, for every policy alike."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable
from typing import Final

from .policy import Choice, Policy, PolicyFactory, Rank, Waiter

__all__ = ["Prioritised"]


class Prioritised:
    """One policy per priority; the highest priority that has a choice to make makes it. Itself a policy.

    A priority whose last waiter has gone is forgotten, but for the one that was served last: its policy may remember the
    resident model.
    """

    def __init__(self, policy: PolicyFactory) -> None:
        self._policy = policy
        self._policies: dict[int, Policy] = {}
        self._waiting: dict[int, int] = {}  # how many, by priority
        self._priorities: list[int] = []  # those with waiters, ascending
        self._served: int | None = None  # the priority served last
        self.bound: Final = policy().bound

    def arrived(self, waiter: Waiter) -> None:
        priority = waiter.priority
        waiting = self._waiting.get(priority, 0)
        if not waiting:
            insort(self._priorities, priority)
        self._waiting[priority] = waiting + 1
        self._of(priority).arrived(waiter)

    def placed(self, waiter: Waiter) -> None:
        priority = waiter.priority
        self._policies[priority].placed(waiter)
        before, self._served = self._served, priority
        self._one_less(priority)
        if before is not None and before != priority:
            self._forget_if_over(before)

    def left(self, waiter: Waiter) -> None:
        self._policies[waiter.priority].left(waiter)
        self._one_less(waiter.priority)

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        for policy in self._policies.values():
            policy.loaded(signature, milliseconds)

    def served(self, waiter: Waiter, milliseconds: int) -> None:
        if waiter.priority in self._policies:
            self._policies[waiter.priority].served(waiter, milliseconds)

    def choose(self) -> Choice | None:
        for priority in reversed(self._priorities):
            choice = self._policies[priority].choose()
            if choice is not None:
                return choice
        return None

    def snapshot(self, rank: Rank) -> Hashable:
        memories = ((priority, self._policies[priority].snapshot(rank)) for priority in sorted(self._policies))
        return self._served, tuple((priority, memory) for priority, memory in memories if memory != ())

    def restore(self, memory: Hashable) -> None:
        assert isinstance(memory, tuple), "made by snapshot()"
        self._served, memories = memory
        for priority, one in memories:
            self._of(priority).restore(one)

    def _of(self, priority: int) -> Policy:
        policy = self._policies.get(priority)
        if policy is None:
            policy = self._policies[priority] = self._policy()
        return policy

    def _one_less(self, priority: int) -> None:
        self._waiting[priority] -= 1
        if self._waiting[priority] == 0:
            del self._waiting[priority]
            self._priorities.remove(priority)
            self._forget_if_over(priority)

    def _forget_if_over(self, priority: int) -> None:
        if priority != self._served and priority not in self._waiting:
            self._policies.pop(priority, None)
