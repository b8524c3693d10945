"""Open loops: requests that arrive when they arrive, however many are unanswered. Three kinds of arrivals, each at a mean rate.

``poisson``    independent of each other: the superposition of many users (Palm, Khinchin).
``bursts``     gamma-distributed times between arrivals, with a coefficient of variation above 1, which is what BurstGPT found in
               production (Wang et al., 2024) and Azure's traces show.
``modulated``  a Poisson process whose rate is switched between two levels by a Markov chain: calm hours and rushes
               (Fischer and Meier-Hellstern, The Markov-modulated Poisson process cookbook, Performance Evaluation 18, 1993).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from random import Random

from statemachine.checks import check_count

from .draws import CHAT, TokenDistribution, check_mix, check_positive, model_of
from .workload import PlannedCall, Workload

__all__ = ["burst_times", "modulated_times", "open_loop", "poisson_times"]


def poisson_times(rate: float, rng: Random) -> Iterator[float]:
    """Yield arrival times in seconds, ``rate`` a second on average."""
    now = 0.0
    while True:
        now += rng.expovariate(rate)
        yield now


def burst_times(rate: float, rng: Random, variation: float = 3.0) -> Iterator[float]:
    """Yield arrival times whose gaps are gamma-distributed with the coefficient of variation ``variation`` (1: Poisson)."""
    shape = 1 / variation**2
    now = 0.0
    while True:
        now += rng.gammavariate(shape, 1 / (rate * shape))
        yield now


def modulated_times(rate: float, rng: Random, rush: float = 5.0, stay_seconds: float = 120.0) -> Iterator[float]:
    """Yield arrival times of a process that is calm or in a rush, ``rush`` times as fast, half of the time each.

    It stays ``stay_seconds`` in each on average; the mean rate is ``rate``.
    """
    calm = 2 * rate / (1 + rush)
    rates = [calm, calm * rush]
    state, now = 0, 0.0
    change = rng.expovariate(1 / stay_seconds)
    while True:
        arrival = now + rng.expovariate(rates[state])
        if arrival < change:
            now = arrival
            yield now
        else:  # the process has no memory, so what was drawn for the old rate is drawn again from here
            now, state = change, 1 - state
            change = now + rng.expovariate(1 / stay_seconds)


_SOURCES = {
    "poisson": "Arrivals of many independent users are a Poisson process (Palm; Khinchin).",
    "bursts": "Gaps between arrivals are gamma-distributed, of variation 3, as bursts are in BurstGPT (Wang et al., 2024).",
    "modulated": "Arrivals are a Markov-modulated Poisson process (Fischer and Meier-Hellstern, Performance Evaluation 18, 1993).",
}
_TIMES = {"poisson": poisson_times, "bursts": burst_times, "modulated": modulated_times}


def open_loop(
    kind: str,
    mix: Mapping[str, float],
    *,
    rate: float,
    requests: int,
    agents: int = 12,
    seed: int = 0,
    tokens: TokenDistribution = CHAT,
) -> Workload:
    """Make a workload of ``requests`` arrivals of ``kind`` (above), ``rate`` a second, dealt to models by ``mix`` and to agents evenly.

    Raises ConfigurationError.
    """
    check_mix(mix)
    check_positive("rate", rate)
    for name, count in (("requests", requests), ("agents", agents)):
        check_count(name, count)
    rng = Random(seed)
    calls = []
    for number, time in enumerate(islice(_TIMES[kind](rate, rng), requests)):
        agent = f"agent {rng.randint(1, agents):02d}"
        calls.append(PlannedCall(number, agent, model_of(mix, rng), *tokens.draw(rng), (), time))
    sentence = f"Arrivals are drawn ({kind}, {rate:g} a second on average), and so are tokens; no trace is behind them."
    return Workload(f"{kind} arrivals", tuple(calls), (_SOURCES[kind], sentence))
