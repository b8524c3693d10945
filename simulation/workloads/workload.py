"""What agents ask for, and when: one form for closed and open loops.

A workload is a list of calls. A call is issued ``delay`` seconds after every call it comes ``after`` has finished; with none to
wait for, ``delay`` counts from the start of the replay. A conversation with think times is a chain, the steps of an agent
graph are a graph, and an arrival trace has no edges at all. A call only ever comes after calls with smaller ids,
so there are no cycles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from statemachine.checks import shown
from statemachine.errors import ConfigurationError

__all__ = ["PlannedCall", "Workload", "at_once", "clipped", "mapped", "overlaid", "prompt_text", "resized", "scaled"]


CALL_TOKENS_LIMIT: Final = 10**12


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call of a model. ``delay`` is in seconds; both token counts are at least 1, and at most ``CALL_TOKENS_LIMIT``.

    ``prompt_tokens`` is what the server has to read, so without the ``cached_tokens`` that it finds in a prompt cache.
    """

    id: int
    agent: str
    model: str
    prompt_tokens: int
    output_tokens: int
    after: tuple[int, ...] = ()
    delay: float = 0.0
    cached_tokens: int = 0


@dataclass(frozen=True)
class Workload:
    """Calls numbered 0, 1, 2, ... and where they come from. ``assumptions`` are what the source left open, as sentences.

    Raises ConfigurationError for a call that is out of order or makes no sense.
    """

    name: str
    calls: tuple[PlannedCall, ...]
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for index, call in enumerate(self.calls):
            _check(index, call)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that are called, in the order of their first call."""
        return tuple(dict.fromkeys(call.model for call in self.calls))

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents that call, in the order of their first call."""
        return tuple(dict.fromkeys(call.agent for call in self.calls))


def _check(index: int, call: PlannedCall) -> None:
    path = f"calls[{index}]"
    if call.id != index:
        raise ConfigurationError(f"{path}.id", "must be the call's index", repr(call.id))
    for name, tokens in (("prompt_tokens", call.prompt_tokens), ("output_tokens", call.output_tokens)):
        if not 1 <= tokens <= CALL_TOKENS_LIMIT:
            raise ConfigurationError(f"{path}.{name}", f"must be from 1 to {CALL_TOKENS_LIMIT:,}", shown(tokens))
    if not 0 <= call.cached_tokens <= CALL_TOKENS_LIMIT:
        rule = f"must be from 0 to {CALL_TOKENS_LIMIT:,}"
        raise ConfigurationError(f"{path}.cached_tokens", rule, shown(call.cached_tokens))
    if any(not 0 <= earlier < index for earlier in call.after):
        raise ConfigurationError(f"{path}.after", "must name earlier calls", repr(call.after))
    if not math.isfinite(call.delay) or call.delay < 0:
        raise ConfigurationError(f"{path}.delay", "must be a finite number of seconds of at least 0", repr(call.delay))


def prompt_text(call: PlannedCall) -> str:
    """Return the text that a replay sends for ``call``. No other call has it: the mock server draws the pace of an answer from it."""
    return f"request {call.id}"


def at_once(workload: Workload) -> Workload:
    """Return the same calls as a batch: all of them come at the start, and none waits for another."""
    return replace(workload, calls=tuple(replace(call, after=(), delay=0.0) for call in workload.calls))


def scaled(workload: Workload, speed: float) -> Workload:
    """Return the same calls, ``speed`` times as fast: think times and arrivals are divided by it; the work itself stays."""
    if not math.isfinite(speed) or speed <= 0:
        raise ConfigurationError("speed", "must be a finite number above 0", repr(speed))
    return replace(workload, calls=tuple(replace(call, delay=call.delay / speed) for call in workload.calls))


def resized(workload: Workload, factor: float) -> Workload:
    """Return the same calls with ``factor`` times as many tokens, each at least one."""
    if not math.isfinite(factor) or factor <= 0:
        raise ConfigurationError("token_scale", "must be a finite number above 0", repr(factor))
    if factor == 1:
        return workload
    return replace(workload, calls=tuple(_resized(call, factor) for call in workload.calls))


def _resized(call: PlannedCall, factor: float) -> PlannedCall:
    read, made = (max(1, round(tokens * factor)) for tokens in (call.prompt_tokens, call.output_tokens))
    return replace(call, prompt_tokens=read, output_tokens=made, cached_tokens=round(call.cached_tokens * factor))


def clipped(workload: Workload, prompt_tokens: int) -> Workload:
    """Return the same calls with longer prompts cut to ``prompt_tokens``, the cached part of them first. Raises ConfigurationError."""
    return replace(workload, calls=tuple(_clipped(call, prompt_tokens) for call in workload.calls))


def _clipped(call: PlannedCall, tokens: int) -> PlannedCall:
    read = min(call.prompt_tokens, tokens)
    return replace(call, prompt_tokens=read, cached_tokens=min(call.cached_tokens, tokens - read))


def mapped(workload: Workload, models: Mapping[str, str]) -> Workload:
    """Return the same calls with every model replaced by ``models[model]``."""
    return replace(workload, calls=tuple(replace(call, model=models[call.model]) for call in workload.calls))


def overlaid(name: str, parts: Sequence[Workload], starts: Sequence[float]) -> Workload:
    """Overlay all ``parts``; part i begins at ``starts[i]`` seconds. Their agents' names must be distinct already."""
    calls: list[PlannedCall] = []
    for part, start in zip(parts, starts, strict=True):
        offset = len(calls)
        for call in part.calls:
            after = tuple(earlier + offset for earlier in call.after)
            delay = call.delay if after else call.delay + start
            calls.append(replace(call, id=call.id + offset, after=after, delay=delay))
    assumptions = dict.fromkeys(sentence for part in parts for sentence in part.assumptions)
    return Workload(name, tuple(calls), tuple(assumptions))
