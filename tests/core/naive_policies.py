"""The policies' definitions, written down once more without any cleverness: they look at every waiter each time."""

from __future__ import annotations

import math

from .one_slot import Asked


class Naive:
    """Its waiters by ticket, and what is admitted, as sets."""

    def __init__(self) -> None:
        self.waiters: dict[int, Asked] = {}
        self.model = ""

    def arrived(self, waiter: Asked) -> None:
        self.waiters[waiter.ticket] = waiter

    def left(self, waiter: Asked) -> None:
        del self.waiters[waiter.ticket]

    def placed(self, waiter: Asked) -> None:
        self.model = waiter.signature
        self.left(waiter)

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        pass

    def served(self, waiter: Asked, milliseconds: int) -> None:
        pass

    def paused(self, milliseconds: int) -> None:
        pass

    def of(self, *, model: bool) -> list[int]:
        """The tickets for the model that was served last, or for all others."""
        return sorted(t for t, w in self.waiters.items() if (w.signature == self.model) is model)

    def choose(self) -> int | tuple[str, int] | None:
        return min(self.waiters, default=None)


class Rounds:
    """Every agent's time, in full, less what each waiting agent has had at least; of the agents that wait or were served in the last turn.

    Without a quantum the oldest goes first.
    """

    def __init__(self, waiters: dict[int, Asked], quantum: int | None) -> None:
        self.waiters = waiters
        self.quantum = quantum
        self.times: dict[str, int] = {}
        self.last_turn: list[str] = []

    def charge(self, waiter: Asked, milliseconds: int) -> None:
        self.last_turn.append(waiter.agent or "")
        time = self.times.get(waiter.agent or "", 0) + milliseconds
        self.times[waiter.agent or ""] = min(time, 4 * (self.quantum or 0))

    def round_of(self, ticket: int) -> int:
        return self.times.get(self.waiters[ticket].agent or "", 0) // (self.quantum or 10**9)

    def begin(self) -> None:
        least = min(self.round_of(ticket) for ticket in self.waiters) * (self.quantum or 0)
        about = [waiter.agent or "" for waiter in self.waiters.values()] + self.last_turn
        self.times = {agent: max(0, time - least) for agent, time in self.times.items() if agent in about}
        self.last_turn = []

    def first(self, tickets: list[int]) -> int:
        return min(tickets, key=lambda t: (self.round_of(t), t)) if self.quantum else min(tickets)


class NaiveGated(Naive):
    def __init__(self, extra: int, quantum: int | None = None) -> None:
        super().__init__()
        self.extra = self.left_over = extra
        self.admitted: set[int] = set()
        self.gate_is_open = False
        self.rounds = Rounds(self.waiters, quantum)

    def arrived(self, waiter: Asked) -> None:
        super().arrived(waiter)
        if self.gate_is_open and waiter.signature == self.model:
            self.admitted.add(waiter.ticket)

    def placed(self, waiter: Asked) -> None:
        follows = waiter.signature == self.model and (waiter.ticket in self.admitted or self.left_over > 0)
        if not follows:
            self.rounds.begin()
            self.model, self.gate_is_open, self.left_over = waiter.signature, True, self.extra
            self.admitted = {t for t, w in self.waiters.items() if w.signature == self.model}
        elif waiter.ticket not in self.admitted:
            self.left_over -= 1
        if not waiter.is_assigned:
            self.gate_is_open = False
        self.left(waiter)

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        if signature == self.model:
            self.gate_is_open = False

    def served(self, waiter: Asked, milliseconds: int) -> None:
        self.rounds.charge(waiter, milliseconds)

    def choose(self) -> int | tuple[str, int] | None:
        mine, others = self.of(model=True), self.of(model=False)
        admitted = [t for t in mine if t in self.admitted]
        if admitted:
            return self.rounds.first(admitted)
        if mine and self.left_over and (not others or self.bears(0)):
            return min(mine)
        if others and not mine and self.left_over and (pause := self.pause()) and self.bears(pause):
            return self.model, pause
        return min(others or mine, default=None)

    def bears(self, milliseconds: int) -> bool:
        return True

    def pause(self) -> int:
        return 0


class NaiveCostAware(NaiveGated):
    """All loads, answers and pauses, one after the other, and how many of them there had been when each waiter came."""

    def __init__(self, most: int = 8, quantum: int | None = None) -> None:
        super().__init__(most, quantum)
        self.usual: dict[str, int] = {}
        self.times: list[int] = []
        self.came: dict[int, int] = {}
        self.waits: list[int] = []
        self.may_pause = False

    def see(self, what: str, milliseconds: int) -> None:
        level = 0 if milliseconds == 0 else 1 + math.floor(4 * math.log2(milliseconds))
        now = self.usual.get(what, 0)
        self.usual[what] = level if now == 0 else now + (level > now) - (level < now)
        self.times.append(milliseconds)

    def arrived(self, waiter: Asked) -> None:
        super().arrived(waiter)
        self.came[waiter.ticket] = len(self.times)

    def wait(self, ticket: int) -> int:
        return sum(self.times[self.came[ticket] :])

    def loaded(self, signature: str, milliseconds: int | None) -> None:
        super().loaded(signature, milliseconds)
        if milliseconds is not None:
            self.see("load", milliseconds)

    def served(self, waiter: Asked, milliseconds: int) -> None:
        super().served(waiter, milliseconds)
        self.see("answer", milliseconds)
        self.may_pause = True

    def paused(self, milliseconds: int) -> None:
        self.times.append(milliseconds)
        self.may_pause = False

    def placed(self, waiter: Asked) -> None:
        if waiter.signature != self.model or not (waiter.ticket in self.admitted or self.left_over > 0):
            self.may_pause = False
        self.waits.append(self.wait(waiter.ticket))
        super().placed(waiter)

    def bears(self, milliseconds: int) -> bool:
        longest = 0
        for wait in self.waits:
            longest = wait if wait > longest else longest - (longest - wait) // 8192
        expensive = self.usual.get("load", 0) - self.usual.get("answer", 0) >= 8
        return expensive and self.wait(min(self.of(model=False))) + milliseconds < longest / 3

    def pause(self) -> int:
        return 2 ** max(0, (self.usual.get("load", 0) - 1) // 4) if self.may_pause else 0


class NaiveAffinity(Naive):
    def __init__(self, passes: int, quantum: int | None = None) -> None:
        super().__init__()
        self.most = passes
        self.gone: list[int] = []
        self.rounds = Rounds(self.waiters, quantum)

    def placed(self, waiter: Asked) -> None:
        if waiter.signature != self.model or (self.rounds.quantum and self.rounds.round_of(waiter.ticket) > 0):
            self.rounds.begin()
        super().placed(waiter)
        self.gone.append(waiter.ticket)

    def served(self, waiter: Asked, milliseconds: int) -> None:
        self.rounds.charge(waiter, milliseconds)

    def choose(self) -> int | tuple[str, int] | None:
        oldest, mine = min(self.waiters, default=None), self.of(model=True)
        if oldest is None or not mine:
            return oldest
        return oldest if sum(t > oldest for t in self.gone) >= self.most else self.rounds.first(mine)
