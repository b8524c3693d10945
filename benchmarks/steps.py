"""Where the time goes, counted and not timed: calls and bytecodes of a warm acquire and release, and of a request in the heap driver.

The counts are the same on every machine and under any load, for one version of Python: so they say what has become more, and where,
when the seconds of a busy machine do not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

import trio

from simulation.drivers.heap import one_slot
from statemachine import ProviderManager, RuntimeProviderConfig

from .core import LIMIT, config_of
from .measuring.results import load, write
from .simulators.customers import Customers
from .simulators.heap import SWITCH_SECONDS, driver, through_simpy

__all__ = ["HEAP", "WARM", "Counts", "count_heap", "count_warm", "measure"]

Counts: TypeAlias = dict[str, tuple[float, float]]
"""Calls and bytecodes of each part that has any."""

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "the manager": ("statemachine.",),
    "the coordinator": ("statemachine.core.",),
    "the policy": ("statemachine.policies.",),
    "checks and configuration": ("statemachine.checks", "statemachine.config."),
    "the heap driver": ("simulation.",),
    "SimPy": ("simpy.",),
    "what is served": ("benchmarks.",),
}
"""By the beginnings of the names of modules, the later ones first. All else is trio, and what trio stands on."""

WARM: Final = ("limiter", "api", "local", "fresh")
HEAP: Final = ("heap driver", "SimPy")
ROUNDS: Final = 50  # the last of which is counted
CUSTOMERS: Final = (200, 700)


def measure(folder: Path) -> Path:
    """Count, and write ``steps.json``."""
    before = load()
    figures = {"warm": {side: count_warm(side) for side in WARM}, "heap": {side: count_heap(side) for side in HEAP}}
    return write(folder, "steps", figures, load_before=before)


def count_warm(side: str) -> Counts:
    """Count one acquire and release, when it is warm.

    ``side``: trio's "limiter"; an "api" pool; the "local" slot, and that with a "fresh" configuration object.
    """
    counts: Counts = {}
    trio.run(_limiter if side == "limiter" else _manager, side, counts)
    return counts


def count_heap(side: str) -> Counts:
    """Count one request of two models that take turns on one server: what more of them add."""
    few, many = (_count_replay(side, customers) for customers in CUSTOMERS)
    more = CUSTOMERS[1] - CUSTOMERS[0]
    added = {part: [many[part][kind] - few[part][kind] for kind in (0, 1)] for part in many}
    return {part: (calls / more, codes / more) for part, (calls, codes) in added.items() if codes > more / 10}


async def _limiter(_: str, counts: Counts) -> None:
    limiter = trio.CapacityLimiter(LIMIT)
    for number in range(ROUNDS):
        with _counting(counts, number == ROUNDS - 1):
            await limiter.acquire()
            limiter.release()


async def _manager(side: str, counts: Counts) -> None:
    provider = "api" if side == "api" else "local"
    async with ProviderManager(config_of(provider)) as manager:
        wish = RuntimeProviderConfig(provider, "model")
        for number in range(ROUNDS):
            with _counting(counts, number == ROUNDS - 1):
                if side == "fresh":
                    wish = RuntimeProviderConfig(provider, "model")
                (await manager.get_adapter(wish)).release()


def _count_replay(side: str, customers: int) -> Counts:
    who = Customers.drawn(customers, switch_seconds=SWITCH_SECONDS)
    heap, config = driver(who), one_slot()
    counts: Counts = {}
    for is_on in (False, True):
        with _counting(counts, is_on):
            if side == "SimPy":
                through_simpy(who)
            else:
                heap.replay(config)
    return counts


@contextmanager
def _counting(counts: Counts, is_on: bool) -> Iterator[None]:
    """Count what happens in the block, if it ``is_on``."""
    if not is_on:
        yield
        return

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        part = _part(frame)
        calls, codes = counts.get(part, (0, 0))
        counts[part] = calls + (event == "call"), codes + (event == "opcode")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def _part(frame: FrameType) -> str:
    module = str(frame.f_globals.get("__name__"))
    found = [part for part, names in PARTS.items() if module.startswith(names)]
    return found[-1] if found else "trio"
