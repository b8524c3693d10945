"""The options that say how long things take on the simulated server. Shared by the commands of the heap driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from statemachine.shell.options import option

from ..timing.durations import BoundedTiming, MeasuredTiming, ProfileTiming
from ..timing.latency import DEFAULT_MODELS
from ..timing.presets import PRESETS, profile_named
from ..timing.profile import ServerTiming
from .workload_options import MOCK_MODELS, LocalModels, MadeWorkload, WorkloadOptions, local_models, make_profile

__all__ = ["TimingAt", "TimingOptions"]

TimingAt = Callable[[float | None], BoundedTiming]
"""The timing at a load time in seconds; None: at each model's own."""


@dataclass(frozen=True, kw_only=True)
class TimingOptions(WorkloadOptions):
    """A workload, and the server that it runs on."""

    profile: str | None = option(
        None,
        f"latency profile of the server: {', '.join(PRESETS)}, or a file that calibrate wrote"
        " (default: the mock server's; for recorded sessions, one server's that was measured)",
    )
    parallel: int = option(1, "requests that a model answers at once", least=1, most=10_000)

    @property
    def local(self) -> LocalModels:
        """The models of the server. Raises ConfigurationError."""
        return MOCK_MODELS if self.profile is None else local_models(profile_named(self.profile).keys)

    def timing_at(self, made: MadeWorkload, seed: int) -> TimingAt:
        """Return the durations, with jitter drawn from ``seed``. Raises ConfigurationError."""
        if self.profile is not None:
            profile = profile_named(self.profile)
            return lambda load_time: ServerTiming(profile, seed, load_time)
        if made.recorded:
            return lambda load_time: MeasuredTiming() if load_time is None else MeasuredTiming(load_time)
        return lambda load_time: ProfileTiming(DEFAULT_MODELS, make_profile(seed), load_time)

    def latencies(self, made: MadeWorkload) -> str:
        """Return what a report says of the durations."""
        if self.profile is not None:
            return profile_named(self.profile).source
        return "measured of one server" if made.recorded else "the mock server's"

    @property
    def model_bytes(self) -> dict[str, int]:
        """The size of each model. Raises ConfigurationError."""
        models = DEFAULT_MODELS if self.profile is None else profile_named(self.profile).models
        return {model.key: model.size_bytes for model in models}

    def slot(self) -> str:
        """Return what a report says of the slot."""
        return f"one model at a time, {self.parallel} request{'s' if self.parallel > 1 else ''} at once"
