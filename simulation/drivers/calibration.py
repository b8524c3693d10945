"""Measure a server through the manager: loads, unloads, prompts and answers of several sizes, and several requests at once.

Rounds are interleaved over the models and the sizes, because the slowness of a busy machine comes in stretches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, NamedTuple

from statemachine import ProviderConfig, ProviderManagerConfig
from statemachine.checks import check_count

from ..workloads.workload import PlannedCall, Workload
from .manager import replay
from .record import CallRecord
from .recorder import TraceRecorder
from .requests import RequestStyle, SizedRequests, Wording
from .residency import Interval

__all__ = ["CalibrationPlan", "Measured", "calls_in", "measure", "merged", "word_counts"]

WORDS_COUNTED: Final = (40, 240)  # of the two prompts that tell how many tokens a word is


@dataclass(frozen=True)
class CalibrationPlan:
    """What is measured: every size of prompt with every size of answer, ``rounds`` times; and 2 to ``slots`` requests at once."""

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


def merged(parts: Iterable[Measured]) -> Measured:
    """Merge ``parts`` into one measurement."""
    alone: list[CallRecord] = []
    together: dict[int, list[CallRecord]] = {}
    intervals: list[Interval] = []
    for part in parts:
        alone += part.alone
        intervals += part.intervals
        for slots, records in part.together.items():
            together.setdefault(slots, []).extend(records)
    return Measured(alone, {**together}, intervals)


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
        workload = _at_once(models, plan, slots)
        together[slots] = (await replay(workload, config_at(slots), finished=finished, style=style)).records
    return Measured(alone.records, together, alone.intervals)


def calls_in(plan: CalibrationPlan, models: int) -> int:
    """Return how many calls a measurement makes."""
    alone = plan.rounds * len(plan.prompts) * len(plan.outputs)
    together = sum(2 * slots * plan.rounds + 1 for slots in range(2, plan.slots + 1))
    return models * (alone + together) + 1


def _one_by_one(models: Sequence[str], plan: CalibrationPlan) -> Workload:
    """Call every model in turn in each round, with all sizes in an order of its own. A last call has the last model unloaded, too."""
    rng = Random(plan.seed)
    calls: list[PlannedCall] = []
    for model, prompt, output in [*_sizes(models, plan, rng), (models[0], plan.prompts[0], plan.outputs[0])]:
        after = (len(calls) - 1,) if calls else ()
        calls.append(PlannedCall(len(calls), "calibration", model, prompt, output, after))
    return Workload("calibration", tuple(calls))


def _sizes(models: Sequence[str], plan: CalibrationPlan, rng: Random) -> Iterator[tuple[str, int, int]]:
    for _ in range(plan.rounds):
        for model in models:
            sizes = [(prompt, output) for prompt in plan.prompts for output in plan.outputs]
            rng.shuffle(sizes)
            yield from ((model, prompt, output) for prompt, output in sizes)


def _at_once(models: Sequence[str], plan: CalibrationPlan, slots: int) -> Workload:
    """Make groups of ``slots`` equal calls of each model, in turn of long prompts and of long answers, one group after the other.

    A call before them loads the model.
    """
    reading, writing = (max(plan.prompts), min(plan.outputs)), (min(plan.prompts), max(plan.outputs))
    calls: list[PlannedCall] = []
    last: tuple[int, ...] = ()
    for model in models:
        groups = [(1, (min(plan.prompts), min(plan.outputs))), *[(slots, reading), (slots, writing)] * plan.rounds]
        for size, (prompt, output) in groups:
            group = range(len(calls), len(calls) + size)
            calls += [PlannedCall(number, f"slot {number}", model, prompt, output, last) for number in group]
            last = tuple(group)
    return Workload("calibration", tuple(calls))


# ---- words ----


async def word_counts(models: Sequence[str], config: ProviderManagerConfig) -> dict[str, Wording]:
    """Ask each model twice, and see in what the server says of its usage how many tokens a word is.

    A model whose server does not say, or whose calls fail, is left out.
    """
    recorder = TraceRecorder()
    providers = [_watched(provider, recorder) for provider in config.available_providers]
    calls = tuple(
        PlannedCall(number, "words", model, words, 1, (number - 1,) if number else ())
        for number, (model, words) in enumerate((model, words) for model in models for words in WORDS_COUNTED)
    )
    plain = SizedRequests()
    watched = replace(config, available_providers=providers)
    await replay(Workload("words", calls), watched, observers=[recorder], finished=lambda: None, style=plain)
    counted: dict[str, list[int]] = {model: [] for model in models}
    for call in recorder.calls():
        counted[call.model or ""].append(call.prompt_tokens)
    return {model: _wording(tokens) for model, tokens in counted.items() if _is_told(tokens)}


def _watched(provider: ProviderConfig, recorder: TraceRecorder) -> ProviderConfig:
    return replace(provider, adapter=recorder.watched(provider.adapter))


def _is_told(tokens: Sequence[int]) -> bool:
    return len(tokens) == len(WORDS_COUNTED) and tokens[0] < tokens[1]


def _wording(tokens: Sequence[int]) -> Wording:
    few, many = WORDS_COUNTED
    each = (tokens[1] - tokens[0]) / (many - few)
    return Wording(each, tokens[0] - each * few)
