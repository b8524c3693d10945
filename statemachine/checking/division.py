"""Divide the search of one scenario among processes: each expands a part of the frontier, and one process keeps what was seen.

The process that searches (:mod:`.checker`) sends states to workers, a chunk at a time, and takes the edges out of them in the order in
which it would have found them itself. So states have the same numbers, and what is found is the same. A state travels pickled, and is
never unpickled here. Its key is a digest of 128 bits: among a million states, two with the same digest are there by chance once in 10^26
searches.

A worker makes the state behind an edge only where its key is new to it. So each chunk brings the keys that others have found since.
"""

from __future__ import annotations

import copyreg
import gc
import pickle
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from io import BytesIO
from itertools import cycle
from typing import Final, TypeAlias

from ..config.providers import Demand
from ..shell.workers import processes, submitted
from .expansion import Arrival, StepCounts, TakenStep, expand
from .scenario import State
from .system import CoordinatorSystem

__all__ = ["GARBAGE", "divided"]

CHUNK_LIMIT: Final = 64
"""How many states a worker gets at a time."""
CHUNKS_AHEAD: Final = 2
"""How many chunks each worker has: one is expanded, and the other ones need not be waited for."""
GARBAGE: Final = 100_000  # objects until cycles are looked for: an expansion leaves hardly any

Expanded: TypeAlias = tuple[list[list[TakenStep[bytes]]], StepCounts]
"""The edges out of each state of a chunk, and what was shown and fired."""
MakeSystem: TypeAlias = Callable[[], CoordinatorSystem]


@contextmanager
def divided(make: MakeSystem, jobs: int) -> Iterator[DividedFrontier]:
    """Yield a frontier that ``jobs`` processes expand. Each makes the system by ``make``, which has to be pickled."""
    with ExitStack() as stack:
        workers = [stack.enter_context(processes(1, _prepare, make)) for _ in range(jobs)]
        yield DividedFrontier(make(), workers)


class DividedFrontier:
    """The states that are reached and not expanded yet, pickled. Each of ``workers`` is one process."""

    def __init__(self, system: CoordinatorSystem, workers: Sequence[Executor]) -> None:
        self._system = system
        self._workers: Final = workers
        self._turns = cycle(range(len(workers)))
        self._queue: deque[tuple[int, bytes]] = deque()
        self._news: list[list[Hashable]] = [[] for _ in workers]  # keys that each has not been told of
        self._under_way: deque[tuple[list[int], Future[Expanded]]] = deque()

    def begin(self) -> Hashable:
        """Take the initial state, and return its key."""
        state, key = self._system.initial()
        digest = _digest(key)
        self.add(0, digest, _Packer(self._system)(state))
        return digest

    def add(self, number: int, key: Hashable, state: bytes) -> None:
        """Take another state."""
        self._queue.append((number, state))
        for news in self._news:
            news.append(key)

    def expansions(
        self, is_known: Callable[[Hashable], bool], counts: StepCounts
    ) -> Iterator[tuple[int, Iterable[TakenStep[bytes]]]]:
        """Yield the number of each state with the edges out of it. ``is_known`` is not asked: workers know what they were told."""
        while self._queue or self._under_way:
            while self._queue and len(self._under_way) < len(self._workers) * CHUNKS_AHEAD:
                self._send_chunk()
            numbers, future = self._under_way.popleft()
            expanded, theirs = future.result()
            counts.merge(theirs)
            yield from zip(numbers, expanded, strict=True)

    def _send_chunk(self) -> None:
        """Give the next worker its share of what is here."""
        share = -(-len(self._queue) // (len(self._workers) * CHUNKS_AHEAD))
        chunk = [self._queue.popleft() for _ in range(min(share, CHUNK_LIMIT))]
        worker = next(self._turns)
        news, self._news[worker] = self._news[worker], []
        future = submitted(self._workers[worker], _expand, [state for _, state in chunk], news)
        self._under_way.append(([number for number, _ in chunk], future))


# ---- in a worker ----


class _Expander:
    """Expands states of ``system``."""

    def __init__(self, system: CoordinatorSystem) -> None:
        self.system: Final = system
        self._known: set[Hashable] = set()
        self._pack = _Packer(system)

    def expand(self, state: bytes, counts: StepCounts) -> list[TakenStep[bytes]]:
        """Return the edges out of ``state``."""
        edges = expand(self.system, pickle.loads(state), self._known.__contains__, counts, _digest)
        return [edge if edge.arrival is None else self._arrived(edge, edge.arrival) for edge in edges]

    def learn(self, news: Iterable[Hashable]) -> None:
        """Note keys that were found by others."""
        self._known.update(news)

    def _arrived(self, edge: TakenStep[State], arrival: Arrival[State]) -> TakenStep[bytes]:
        goes_on = not edge.violations
        if goes_on:
            self._known.add(edge.key)
        packed = self._pack(arrival.state) if goes_on else b""
        return TakenStep(edge.key, edge.violations, edge.kept, Arrival(packed, pending=arrival.pending))


class _Packer:
    """Pickles states of ``system``. Demands, which all states share, are pickled as their places in the scenario."""

    def __init__(self, system: CoordinatorSystem) -> None:
        self._table = {**copyreg.dispatch_table, Demand: lambda demand: (_demand, (system.demands.index(demand),))}

    def __call__(self, state: State) -> bytes:
        file = BytesIO()
        pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = self._table
        pickler.dump(state)
        return file.getvalue()


_expanders: Final[list[_Expander]] = []  # this process's, once it is prepared


def _prepare(make: MakeSystem) -> None:
    gc.set_threshold(GARBAGE)
    _expanders.append(_Expander(make()))


def _expand(states: Sequence[bytes], news: Sequence[Hashable]) -> Expanded:
    (expander,) = _expanders
    expander.learn(news)
    counts = StepCounts()
    return [expander.expand(state, counts) for state in states], counts


def _demand(place: int) -> Demand:
    (expander,) = _expanders
    return expander.system.demands[place]


def _digest(key: Hashable) -> bytes:
    """Return what stands for ``key``, which is made of tuples, texts and numbers: so its text is the same in every process."""
    return blake2b(repr(key).encode(), digest_size=16).digest()
