"""How long a local server takes: to load and unload a model, to read a prompt, and to make tokens.

Times are in seconds, rates in tokens per second. Every duration is a pure function of the profile, its seed included, and of
what it is asked for: the order in which concurrent tasks ask changes nothing.

A model's rates are those of a request that has the machine for itself. ``n`` requests in one instance are batched: together
they get ``n / (1 + a(n - 1))`` times the rate of one (measured: 1.58 to 1.69 times for two slots, so a is 0.18 to 0.27).
Instances that work at the same time share the machine evenly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from statemachine.checks import check_count, check_name, shown
from statemachine.errors import ConfigurationError

__all__ = ["DEFAULT_MODELS", "LatencyProfile", "ModelSpec", "check_rates", "slot_slowdown", "token_count"]

CHARACTERS_PER_TOKEN: Final = 4


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One downloaded model. The defaults are a 4B model in 4 bits on a small machine. Raises ConfigurationError.

    ``parallel`` (slots) and ``context_length`` (tokens) are what an instance gets where a load does not say otherwise.
    """

    key: str
    size_bytes: int = 2_500_000_000
    load_seconds: float = 2.5
    unload_seconds: float = 0.5
    prefill_tokens_per_second: float = 385.0
    decode_tokens_per_second: float = 28.0
    parallel: int = 4
    context_length: int = 4096
    max_context_length: int = 131_072

    def __post_init__(self) -> None:
        check_name("key", self.key)
        for name in ("size_bytes", "parallel", "context_length", "max_context_length"):
            check_count(name, getattr(self, name))
        for name in ("load_seconds", "unload_seconds"):
            _check_number(name, getattr(self, name), "of at least 0", least=0)
        for name in ("prefill_tokens_per_second", "decode_tokens_per_second"):
            _check_number(name, getattr(self, name), "above 0", least=math.ulp(0.0))


@dataclass(frozen=True, slots=True)
class LatencyProfile:
    """How the models' figures become durations. Raises ConfigurationError.

    ``jitter``: every duration varies by up to this part of it (0 to 1; 0: exact figures). ``parallel_cost`` is ``a`` above.
    ``slot_rates``: a measured curve in place of it, the rate of 1, 2, 3, ... requests together over that of one (a server that does not
    batch stays at 1 or falls below).
    ``tokens_per_chunk``: how many tokens are made and sent at a time after the first, which always comes alone, so that the time to the
    first token is right; a large number makes long replays cheap.
    """

    seed: int = 0
    jitter: float = 0.1
    parallel_cost: float = 0.22
    slot_rates: tuple[float, ...] | None = None
    tokens_per_chunk: int = 1

    def __post_init__(self) -> None:
        _check_number("jitter", self.jitter, "from 0 to 1", least=0, most=1)
        _check_number("parallel_cost", self.parallel_cost, "of at least 0", least=0)
        check_count("tokens_per_chunk", self.tokens_per_chunk)
        if self.slot_rates is not None:
            check_rates("slot_rates", self.slot_rates)

    def pace(self, *what: str | int) -> float:
        """Return the factor by which ``what`` takes longer, or shorter, than it says."""
        if self.jitter == 0:
            return 1.0
        return 1.0 + self.jitter * Random(repr((self.seed, what))).uniform(-1.0, 1.0)

    def load_seconds(self, model: ModelSpec, nth: int) -> float:
        """Return the seconds of the ``nth`` load of ``model``."""
        return model.load_seconds * self.pace("load", model.key, nth)

    def unload_seconds(self, model: ModelSpec, nth: int) -> float:
        """Return the seconds of the ``nth`` unload of ``model``."""
        return model.unload_seconds * self.pace("unload", model.key, nth)

    def slowdown(self, in_instance: int, instances: int = 1) -> float:
        """Return how many times longer a request takes when its instance has ``in_instance`` requests and ``instances`` are at work."""
        if self.slot_rates is not None:
            return slot_slowdown(self.slot_rates, in_instance) * instances
        return (1.0 + self.parallel_cost * (in_instance - 1)) * instances

    def chunks(self, tokens: int) -> Iterator[int]:
        """Yield the sizes of the pieces into which ``tokens`` are divided."""
        if tokens > 0:
            yield 1
        for done in range(1, tokens, self.tokens_per_chunk):
            yield min(self.tokens_per_chunk, tokens - done)


def slot_slowdown(rates: Sequence[float], requests: int) -> float:
    """Return how many times longer each of ``requests`` takes: their number over their rate together. Beyond the curve the rate stays."""
    return requests / rates[min(requests, len(rates)) - 1]


def check_rates(name: str, rates: Sequence[float]) -> None:
    """Raise ConfigurationError unless ``rates`` is a curve of rates: it begins with 1, and all are above 0."""
    if not rates or rates[0] != 1:
        raise ConfigurationError(name, "must begin with 1: the rate of one request", shown(rates[:1]))
    for index, rate in enumerate(rates):
        _check_number(f"{name}[{index}]", rate, "above 0", least=math.ulp(0.0))


def token_count(text: str) -> int:
    """About how many tokens ``text`` has."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _check_number(name: str, value: object, rule: str, *, least: float, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigurationError(name, f"must be a finite number {rule}", shown(value))
    if not least <= value <= most:
        raise ConfigurationError(name, f"must be a finite number {rule}", shown(value))


DEFAULT_MODELS: Final = (
    ModelSpec("qwen3.5-4b"),
    ModelSpec(
        "granite-4-micro",
        size_bytes=2_100_000_000,
        load_seconds=2.656,
        prefill_tokens_per_second=594.0,
        decode_tokens_per_second=29.75,
    ),
    ModelSpec(
        "openai/gpt-oss-20b",
        size_bytes=12_000_000_000,
        load_seconds=9.099,
        unload_seconds=1.0,
        decode_tokens_per_second=48.0,
    ),
)
"""Loads, and granite's rates (646 tokens read in 1.088 s), are examples of LM Studio's documentation; qwen's rates are
llama.cpp's on an M4 mini, gpt-oss decodes as on an M5. Unloads, and gpt-oss's prefill, are assumed."""
