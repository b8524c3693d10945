"""From the sessions of a trace to one workload: which of them, when they begin, and which local model stands for which."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from statemachine.errors import ConfigurationError

from .workload import Workload, overlaid

__all__ = ["model_map", "overlay_sessions"]

SPREAD_SECONDS: Final = 60.0
_TIERS: Final = ("haiku", "sonnet", "opus")  # the model families of the Weka traces, small to large


def overlay_sessions(name: str, sessions: Iterable[Workload], count: int, *, seed: int = 0) -> Workload:
    """Overlay ``count`` of the sessions, drawn from ``seed``, begun within a minute of each other. Holds no more than ``count`` at a time.

    Sessions carry no absolute times, so when they begin is ours to say. Raises ConfigurationError where there are too few.
    """
    rng = random.Random(seed)
    chosen: list[tuple[int, Workload]] = []
    for index, session in enumerate(sessions):  # reservoir sampling: Vitter, ACM TOMS 11 (1985), algorithm R
        if index < count:
            chosen.append((index, session))
        elif (place := rng.randrange(index + 1)) < count:
            chosen[place] = (index, session)
    if len(chosen) < count:
        raise ConfigurationError("sessions", f"must not be more than the trace holds ({len(chosen)})", repr(count))
    starts = [0.0, *sorted(rng.uniform(0.0, SPREAD_SECONDS) for _ in range(count - 1))]
    return overlaid(name, [session for _, session in sorted(chosen, key=lambda pair: pair[0])], starts)


def model_map(traced: Sequence[str], local: Sequence[str], overrides: Mapping[str, str]) -> dict[str, str]:
    """Choose a local model for each traced one: ``overrides`` first; the others by rank, spread evenly over ``local`` (smallest first).

    A traced model ranks by its family, where that is known, then by its name. Raises ConfigurationError for an override that
    names no traced model.
    """
    for name in overrides:
        if name not in traced:
            raise ConfigurationError("map", f"must name a model of the trace ({', '.join(sorted(traced))})", repr(name))
    ranked = sorted(traced, key=lambda name: (_tier(name), name))
    spread = {name: local[rank * len(local) // len(ranked)] for rank, name in enumerate(ranked)}
    return {**spread, **overrides}


def _tier(name: str) -> int:
    return next((tier for tier, word in enumerate(_TIERS) if word in name), 0)
