"""Measure a server through the manager: loads, unloads, prompts and answers of several sizes, and several requests at once.

Rounds are interleaved over the models and the sizes, because the slowness of a busy machine comes in stretches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from statemachine import ProviderManagerConfig
from statemachine.checks import check_count

from ..workloads.workload import PlannedCall, Workload
from .manager import replay
from .record import CallRecord, Interval
from .requests import RequestStyle

__all__ = ["CalibrationPlan", "Measured", "measure"]


@dataclass(frozen=True)
class CalibrationPlan:
    """What is measured: every size of prompt with every size of answer, ``rounds`` times; and ``slots`` requests at once."""

    prompts: tuple[int, ...] = (32, 128, 384)
    outputs: tuple[int, ...] = (1, 24, 72)
    rounds: int = 3
    slots: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "slots"):
            check_count(name, getattr(self, name))


class Measured(NamedTuple):
    """What came of it: the calls one at a time, those of each number at once, and every load and unload."""

    alone: Sequence[CallRecord]
    together: dict[int, Sequence[CallRecord]]
    intervals: Sequence[Interval]


async def measure(
    models: Sequence[str],
    plan: CalibrationPlan,
    config_at: Callable[[int], ProviderManagerConfig],
    style: RequestStyle,
    finished: Callable[[], None],
) -> Measured:
    """Measure ``models`` with ``plan``. ``config_at(n)`` is a manager's configuration for ``n`` requests at once."""
    alone = await replay(_one_by_one(models, plan), config_at(1), finished=finished, style=style)
    together = {}
    for slots in range(2, plan.slots + 1):
        workload = _at_once(models[0], plan, slots)
        together[slots] = (await replay(workload, config_at(slots), finished=finished, style=style)).records
    return Measured(alone.records, together, alone.intervals)


def calls_in(plan: CalibrationPlan, models: int) -> int:
    """How many calls a measurement makes."""
    return models * plan.rounds * len(plan.prompts) * len(plan.outputs) + sum(range(2, plan.slots + 1)) * plan.rounds


def _one_by_one(models: Sequence[str], plan: CalibrationPlan) -> Workload:
    """In each round every model in turn, with all sizes in an order of its own."""
    rng = Random(plan.seed)
    calls: list[PlannedCall] = []
    for model, prompt, output in _sizes(models, plan, rng):
        after = (len(calls) - 1,) if calls else ()
        calls.append(PlannedCall(len(calls), "calibration", model, prompt, output, after))
    return Workload("calibration", tuple(calls))


def _sizes(models: Sequence[str], plan: CalibrationPlan, rng: Random) -> Iterator[tuple[str, int, int]]:
    for _ in range(plan.rounds):
        for model in models:
            sizes = [(prompt, output) for prompt in plan.prompts for output in plan.outputs]
            rng.shuffle(sizes)
            yield from ((model, prompt, output) for prompt, output in sizes)


def _at_once(model: str, plan: CalibrationPlan, slots: int) -> Workload:
    """Groups of ``slots`` equal calls: the next group begins when the last has ended. A call before them loads the model."""
    prompt, output = min(plan.prompts), max(plan.outputs)
    calls = [PlannedCall(0, "calibration", model, prompt, 1)]
    for _ in range(plan.rounds):
        after = tuple(range(max(1, len(calls) - slots), len(calls))) or (0,)
        group = range(len(calls), len(calls) + slots)
        calls += [PlannedCall(number, f"slot {number}", model, prompt, output, after) for number in group]
    return Workload("calibration", tuple(calls))
