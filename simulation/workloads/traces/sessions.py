"""From the calls of a trace to workloads, and back."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby, islice
from math import fsum, inf

from statemachine.errors import ConfigurationError

from ..workload import PlannedCall, Workload
from .fields import TraceError
from .schema import TraceCall

__all__ = ["Deal", "calls_of", "sessions_of", "timed_workload", "within"]


class Deal:
    """Draws who makes the calls of which agent or model were not recorded: models by ``weights``, agents evenly."""

    def __init__(self, weights: Mapping[str, float], agents: int, seed: int = 0) -> None:
        self.weights = weights
        self.agents = agents
        self.used = False
        self.rng = random.Random(seed)

    def model(self) -> str:
        """Draw a model."""
        self.used = True
        (model,) = self.rng.choices(list(self.weights), list(self.weights.values()))
        return model

    def agent(self) -> str:
        """Draw an agent."""
        self.used = True
        return f"agent {self.rng.randint(1, self.agents):02d}"

    def sentence(self) -> str:
        """Return what a report says of it."""
        total = fsum(self.weights.values())
        shares = ", ".join(f"{model} {weight / total:.0%}" for model, weight in self.weights.items())
        return (
            "Where the trace names no agent or no model, "
            f"each request is dealt at random to one of {self.agents} agents and to a model ({shares})."
        )


def within(calls: Iterable[TraceCall], start: float = 0.0, length: float = inf) -> Iterator[TraceCall]:
    """Yield the calls of sessions whose first call arrives from ``start`` seconds on, for ``length`` seconds; ``start`` becomes 0.

    Raises ConfigurationError where the trace has no arrival times, and there is something to leave out.
    """
    if start == 0 and length == inf:
        yield from calls
        return
    kept: dict[str, bool] = {}
    for call in calls:
        arrival = call.arrival_seconds
        if arrival is None and not call.depends_on:
            raise ConfigurationError("start", "is for traces with arrival times", "a session without")
        chosen = arrival is not None and start <= arrival < start + length
        if call.session is not None:
            chosen = kept.setdefault(call.session, chosen)
        if chosen:
            yield call if arrival is None else _earlier(call, start)


def _earlier(call: TraceCall, seconds: float) -> TraceCall:
    return replace(call, arrival_seconds=max(0.0, (call.arrival_seconds or 0.0) - seconds))


class _Numbers:
    """The ids of the calls of a workload, by session and number there."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, int], int] = {}

    def add(self, call: TraceCall, id: int) -> None:
        """Keep the id of ``call``. Raises TraceError where its session has its number already."""
        if call.session is None:
            return
        if self._ids.setdefault((call.session, call.call), id) != id:
            raise TraceError(f"session {call.session}", "must number its calls", f"two of number {call.call}")

    def of(self, call: TraceCall) -> tuple[int, ...]:
        """Return the ids of what ``call`` depends on. Raises TraceError where one did not come before it."""
        try:
            return tuple(sorted({self._ids[call.session or "", number] for number in call.depends_on}))
        except KeyError:
            raise TraceError(
                f"session {call.session}, call {call.call}", "must depend on earlier calls of its session", "another"
            ) from None


def timed_workload(name: str, calls: Iterable[TraceCall], deal: Deal, *, requests: int | None = None) -> Workload:
    """Return a trace with arrival times as one workload, up to ``requests`` calls. Raises TraceError, ConfigurationError."""
    planned: list[PlannedCall] = []
    numbers = _Numbers()
    for call in islice(calls, requests):
        if not call.depends_on and call.arrival_seconds is None:
            raise ConfigurationError("trace", "must have the arrival of each session's first call", "none")
        model = call.model or deal.model()
        agent = call.agent or deal.agent()
        planned.append(_planned(call, len(planned), numbers, agent, model))
    return Workload(name, tuple(planned))


def _planned(call: TraceCall, id: int, numbers: _Numbers, agent: str, model: str) -> PlannedCall:
    numbers.add(call, id)
    unread = call.prompt_tokens - call.cached_tokens
    delay = call.think_seconds if call.depends_on else call.arrival_seconds or call.think_seconds
    return PlannedCall(id, agent, model, unread, call.completion_tokens, numbers.of(call), delay, call.cached_tokens)


def sessions_of(
    calls: Iterable[TraceCall], deal: Deal, *, max_think: float = inf, requests: int | None = None
) -> Iterator[Workload]:
    """Yield each session as a workload that begins at 0; its calls must be neighbours in the trace.

    ``max_think`` caps each pause (seconds), ``requests`` keeps only the first N calls of each session. Raises TraceError.
    """
    for session, group in groupby(calls, key=lambda call: call.session):
        planned: list[PlannedCall] = []
        numbers = _Numbers()
        for call in islice(group, requests):
            agent = call.agent or session or deal.agent()
            found = _planned(call, len(planned), numbers, agent, call.model or deal.model())
            planned.append(replace(found, delay=min(found.delay, max_think)))
        yield Workload(session or "calls", tuple(planned))


def calls_of(workload: Workload, session: str) -> Iterator[TraceCall]:
    """Yield a workload's calls as a session of a trace that says nothing of when it begins."""
    for call in workload.calls:
        yield TraceCall(
            prompt_tokens=call.prompt_tokens + call.cached_tokens,
            completion_tokens=call.output_tokens,
            session=session,
            agent=call.agent,
            call=call.id,
            depends_on=call.after,
            think_seconds=call.delay,
            model=call.model,
            cached_tokens=call.cached_tokens,
        )
