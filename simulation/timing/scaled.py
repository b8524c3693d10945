"""Times that are multiples of another timing's: what if loads took twice as long, or tokens came half as fast?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..workloads.workload import PlannedCall
from .durations import AnswerTimes, BoundedTiming, ForgetfulTiming
from .switches import SwitchTimes

__all__ = ["Scale", "scaled"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How many times as long loads and unloads take, the reading of prompts, and the making of tokens."""

    load: float = 1.0
    prefill: float = 1.0
    decode: float = 1.0


def scaled(timing: BoundedTiming, scale: Scale) -> BoundedTiming:
    """Multiply each duration of ``timing``. The result forgets prompts with the model where ``timing`` does."""
    if scale == Scale():
        return timing
    return _ScaledForgetful(timing, scale) if isinstance(timing, ForgetfulTiming) else _Scaled(timing, scale)


@dataclass(frozen=True)
class _Scaled:
    timing: BoundedTiming
    scale: Scale

    def load_seconds(self, model: str, nth: int) -> float:
        return self.timing.load_seconds(model, nth) * self.scale.load

    def unload_seconds(self, model: str, nth: int) -> float:
        return self.timing.unload_seconds(model, nth) * self.scale.load

    def least_switches(self, models: Sequence[str]) -> SwitchTimes:
        least = self.timing.least_switches(models)
        factor = self.scale.load
        loads = {key: seconds * factor for key, seconds in least.load.items()}
        return SwitchTimes(loads, {key: seconds * factor for key, seconds in least.unload.items()})

    def answer(self, call: PlannedCall) -> AnswerTimes:
        return self._longer(self.timing.answer(call))

    def slowdown(self, requests: int, instances: int = 1, *, reading: bool = False) -> float:
        return self.timing.slowdown(requests, instances, reading=reading)

    def _longer(self, answer: AnswerTimes) -> AnswerTimes:
        return AnswerTimes(
            answer.prefill * self.scale.prefill, tuple(piece * self.scale.decode for piece in answer.pieces)
        )


class _ScaledForgetful(_Scaled):
    def cold_answer(self, call: PlannedCall) -> AnswerTimes:
        """Return how long ``call`` takes when nothing of its prompt is cached."""
        assert isinstance(self.timing, ForgetfulTiming), "made for such a timing only"
        return self._longer(self.timing.cold_answer(call))
