"""What is the same for every run of a workload in the heap driver: its calls as columns, and how long each answer is alone and warm."""

from __future__ import annotations

from array import array
from functools import lru_cache
from operator import attrgetter
from typing import Final

from ..timing.durations import ForgetfulTiming, Timing, alone
from ..timing.faults import FaultPlan
from ..workloads.workload import Workload

__all__ = ["ReplayPlan"]

_REMEMBERED: Final = 2**16  # loads and unloads whose durations are kept for the next run


class ReplayPlan:
    """The calls of ``workload``, each as long as ``timing`` says. Raises ConfigurationError."""

    def __init__(self, workload: Workload, timing: Timing, faults: FaultPlan | None) -> None:
        self.calls: Final = workload.calls
        self.timing: Final = timing
        self.faults: Final = faults
        self.forgetful: Final = timing if isinstance(timing, ForgetfulTiming) else None
        self.agents: Final = [call.agent for call in workload.calls]
        self.names: Final = [call.model for call in workload.calls]
        self.prompt_tokens: Final = array("q", (call.prompt_tokens for call in workload.calls))
        self.output_tokens: Final = array("q", (call.output_tokens for call in workload.calls))
        self.first_token: Final = array("d")  # seconds, of a call that shares its instance with no other
        self.whole: Final = array("d")
        self.followers: Final[dict[int, list[int]]] = {}
        self.unfinished: Final[dict[int, int]] = {}  # of each call that comes after others: how many these are
        for call in workload.calls:
            first, whole = alone(timing.answer(call))
            self.first_token.append(first)
            self.whole.append(whole)
            for earlier in call.after:
                self.followers.setdefault(earlier, []).append(call.id)
            if call.after:
                self.unfinished[call.id] = len(call.after)
        first_calls = [call for call in workload.calls if not call.after]
        first_calls.sort(key=attrgetter("delay"))  # of the same moment: in the order of their ids
        self.first_calls: Final = array("q", map(attrgetter("id"), first_calls))
        self.first_times: Final = array("d", map(attrgetter("delay"), first_calls))
        self.load_seconds: Final = lru_cache(_REMEMBERED)(timing.load_seconds)  # drawing jitter is slow
        self.unload_seconds: Final = lru_cache(_REMEMBERED)(timing.unload_seconds)
