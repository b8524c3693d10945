"""How long things take in the heap driver: what the mock server would take, what was measured of a real one, or times that are given.

Times are in seconds. An instance that answers ``n`` requests at once takes ``slowdown(n)`` times as long for each; instances that work at
the same time on one machine share it evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, runtime_checkable

from statemachine.errors import ConfigurationError

from ..workloads.workload import PlannedCall, prompt_text
from .latency import LatencyProfile, ModelSpec
from .switches import SwitchTimes, check_duration

__all__ = [
    "AnswerTimes",
    "BoundedTiming",
    "FixedTiming",
    "ForgetfulTiming",
    "MeasuredTiming",
    "ProfileTiming",
    "Timing",
    "alone",
]


class AnswerTimes(NamedTuple):
    """One answer by an instance that has nothing else to do. The first of the ``pieces`` ends with the first token."""

    prefill: float
    pieces: tuple[float, ...]


def alone(answer: AnswerTimes) -> tuple[float, float]:
    """Return the seconds to the first token and to the end, for a request that shares its instance with no other."""
    return answer.prefill + answer.pieces[0], answer.prefill + math.fsum(answer.pieces)


class Timing(Protocol):
    """A pure function of its arguments, so that the same run takes the same time under every policy."""

    def load_seconds(self, model: str, nth: int) -> float:
        """Return the seconds of the ``nth`` load of ``model``, counted from 1."""
        ...

    def unload_seconds(self, model: str, nth: int) -> float:
        """Return the seconds of the ``nth`` unload of ``model``, counted from 1."""
        ...

    def answer(self, call: PlannedCall) -> AnswerTimes:
        """Return how long ``call`` takes. Raises ConfigurationError where that is not known."""
        ...

    def slowdown(self, requests: int, instances: int = 1, *, reading: bool = False) -> float:
        """Return how many times longer a piece takes when ``requests`` requests share the instance, and ``instances`` work on the machine.

        Both count itself; ``reading``: for a prompt.
        """
        ...


@runtime_checkable
class ForgetfulTiming(Timing, Protocol):
    """One of a server whose prompt cache is gone when its model is unloaded."""

    def cold_answer(self, call: PlannedCall) -> AnswerTimes:
        """Return how long ``call`` takes when nothing of its prompt is cached."""
        ...


class BoundedTiming(Timing, Protocol):
    """One that also says how short a switch can be, for a bound on every schedule."""

    def least_switches(self, models: Sequence[str]) -> SwitchTimes:
        """Return the least seconds that a load and an unload of each of ``models`` can take."""
        ...


@dataclass(frozen=True)
class ProfileTiming:
    """The durations of the mock server with ``models`` and ``profile``.

    With ``switch_seconds`` every load takes exactly that and no unload takes any time. Raises ConfigurationError.
    """

    models: Sequence[ModelSpec]
    profile: LatencyProfile
    switch_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.switch_seconds is not None:
            check_duration("switch_seconds", self.switch_seconds)

    def load_seconds(self, model: str, nth: int) -> float:
        if self.switch_seconds is not None:
            return self.switch_seconds
        return self.profile.load_seconds(self._spec(model), nth)

    def unload_seconds(self, model: str, nth: int) -> float:
        if self.switch_seconds is not None:
            return 0.0
        return self.profile.unload_seconds(self._spec(model), nth)

    def least_switches(self, models: Sequence[str]) -> SwitchTimes:
        if self.switch_seconds is not None:
            return SwitchTimes(dict.fromkeys(models, self.switch_seconds), dict.fromkeys(models, 0.0))
        specs, least = [self._spec(model) for model in models], 1.0 - self.profile.jitter
        loads = {spec.key: spec.load_seconds * least for spec in specs}
        return SwitchTimes(loads, {spec.key: spec.unload_seconds * least for spec in specs})

    def answer(self, call: PlannedCall) -> AnswerTimes:
        spec = self._spec(call.model)
        pace = self.profile.pace("answer", call.model, prompt_text(call))
        pieces = self.profile.chunks(call.output_tokens)
        return AnswerTimes(
            call.prompt_tokens * pace / spec.prefill_tokens_per_second,
            tuple(tokens * pace / spec.decode_tokens_per_second for tokens in pieces),
        )

    def slowdown(self, requests: int, instances: int = 1, *, reading: bool = False) -> float:
        return self.profile.slowdown(requests, instances)

    def _spec(self, model: str) -> ModelSpec:
        for spec in self.models:
            if spec.key == model:
                return spec
        raise ConfigurationError("models", "must hold every model that is called", repr(model))


_SHARING: Final = LatencyProfile(jitter=0.0, tokens_per_chunk=64)


@dataclass(frozen=True)
class MeasuredTiming:
    """Every model takes what GLM-4.7-Flash, in 4 bits on a llama.cpp server, took; a switch takes ``switch_seconds``, all of it to load.

    The answers were fitted over 5,641 calls of agents: ``0.66 s + unread / 2128 + output * (8.63 ms + 7.9e-5 ms * context)``, tokens all
    three. The prompt cache is one that keeps every session, and survives switches. 6.2 s was the median of 222 loads of gemma3 in Ollama.
    Several requests at once slow each other down as in :class:`LatencyProfile`. Raises ConfigurationError.
    """

    switch_seconds: float = 6.2

    def __post_init__(self) -> None:
        check_duration("switch_seconds", self.switch_seconds)

    def load_seconds(self, model: str, nth: int) -> float:
        return self.switch_seconds

    def unload_seconds(self, model: str, nth: int) -> float:
        return 0.0

    def least_switches(self, models: Sequence[str]) -> SwitchTimes:
        return SwitchTimes(dict.fromkeys(models, self.switch_seconds), dict.fromkeys(models, 0.0))

    def answer(self, call: PlannedCall) -> AnswerTimes:
        token = 8.63e-3 + 7.9e-8 * (call.prompt_tokens + call.cached_tokens)
        pieces = tuple(tokens * token for tokens in _SHARING.chunks(call.output_tokens))
        return AnswerTimes(0.66 + call.prompt_tokens / 2128, pieces)

    def slowdown(self, requests: int, instances: int = 1, *, reading: bool = False) -> float:
        return _SHARING.slowdown(requests, instances)


@dataclass(frozen=True)
class FixedTiming:
    """Call ``i`` takes ``service_seconds[i]``, a load ``switch_seconds``, an unload nothing. Requests do not slow each other down.

    The whole answer comes at once, so its first token comes with its last. Raises ConfigurationError.
    """

    service_seconds: Sequence[float]
    switch_seconds: float = 0.0

    def __post_init__(self) -> None:
        check_duration("switch_seconds", self.switch_seconds)
        for index, seconds in enumerate(self.service_seconds):
            check_duration(f"service_seconds[{index}]", seconds)

    def load_seconds(self, model: str, nth: int) -> float:
        return self.switch_seconds

    def unload_seconds(self, model: str, nth: int) -> float:
        return 0.0

    def answer(self, call: PlannedCall) -> AnswerTimes:
        if call.id >= len(self.service_seconds):
            raise ConfigurationError("service_seconds", "must hold one number for each call", f"none for {call.id}")
        return AnswerTimes(0.0, (self.service_seconds[call.id],))

    def slowdown(self, requests: int, instances: int = 1, *, reading: bool = False) -> float:
        return 1.0
