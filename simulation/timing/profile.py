"""Latency profiles of real servers: what a load, a prompt and a token take, as measured figures that can be saved and shared.

The model behind a profile, each part with one figure or two:

* a load takes the engine's start plus the model's bytes over a bandwidth: the disk's the first time, the page cache's afterwards
  where all models fit there together;
* an answer's first token takes a fixed time plus the tokens that must be read over the prefill rate; cached tokens are not read;
* every further token takes a fixed time plus a part that grows with the context, which is the prompt and half of the answer on average;
* ``n`` requests at once in one instance make ``slot_rates[n - 1]`` times the tokens per second of one: a measured curve; another may say
  how fast they read prompts side by side;
* the prompt cache survives a switch (``keeps_prefix``), or is lost with the instance;
* what the figures do not explain: ``paces``, by how much successive measured answers took longer or shorter than the figures say.
  Slowness comes in stretches, so they are drawn in blocks of neighbours (the moving-block bootstrap: Kuensch, Annals of Statistics 17,
  1989). Without them every answer varies by itself, evenly, by ``jitter``, as loads and unloads always do.

Times are in seconds, rates per second.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from random import Random
from typing import Any, Final

from statemachine.checks import check_bool, check_count, check_name, is_number, shown
from statemachine.errors import ConfigurationError

from ..workloads.workload import PlannedCall
from .durations import AnswerTimes
from .latency import check_rates, slot_slowdown
from .switches import SwitchTimes, check_duration

__all__ = ["ModelProfile", "ServerProfile", "ServerTiming", "load_profile", "save_profile"]

FORMAT: Final = "llm-slot-profile"
VERSION: Final = 1
BLOCK: Final = 8  # successive answers that take their paces from one place
PROFILE_BYTES_LIMIT: Final = 2**20
_LISTS: Final = ("slot_rates", "prefill_slot_rates", "paces")
TOKENS_PER_PIECE: Final = 64
"""An answer is cut into pieces, so that requests that share an instance see others come and go."""


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """One model on the server; ``load_seconds`` is its measured load, None where its bytes say how long that takes.

    Raises ConfigurationError.
    """

    key: str
    size_bytes: int
    prefill_tokens_per_second: float
    token_seconds: float
    token_seconds_per_context_token: float = 0.0
    first_token_seconds: float = 0.0
    unload_seconds: float = 0.0
    load_seconds: float | None = None

    def __post_init__(self) -> None:
        check_name("key", self.key)
        check_count("size_bytes", self.size_bytes)
        _check_rate("prefill_tokens_per_second", self.prefill_tokens_per_second)
        for name in ("token_seconds", "token_seconds_per_context_token", "first_token_seconds", "unload_seconds"):
            check_duration(name, getattr(self, name))
        if self.load_seconds is not None:
            check_duration("load_seconds", self.load_seconds)

    def seconds_of_token(self, prompt: int, output: int) -> float:
        """Return the mean seconds of a token of an answer of ``output`` tokens to ``prompt`` tokens."""
        return self.token_seconds + self.token_seconds_per_context_token * (prompt + output / 2)


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """A server and its models. ``source`` says where the figures come from, ``fit`` how well they fit. Raises ConfigurationError."""

    name: str
    models: tuple[ModelProfile, ...]
    source: str
    engine_start_seconds: float = 0.0
    disk_bytes_per_second: float = 1e9
    cache_bytes_per_second: float = 1e9
    page_cache_bytes: int = 0
    slot_rates: tuple[float, ...] = (1.0,)
    prefill_slot_rates: tuple[float, ...] | None = None
    keeps_prefix: bool = True
    jitter: float = 0.0
    paces: tuple[float, ...] = ()
    fit: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_duration("engine_start_seconds", self.engine_start_seconds)
        for name in ("disk_bytes_per_second", "cache_bytes_per_second"):
            _check_rate(name, getattr(self, name))
        check_count("page_cache_bytes", self.page_cache_bytes, 0)
        check_bool("keeps_prefix", self.keeps_prefix)
        if not is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ConfigurationError("jitter", "must be from 0 to 1", shown(self.jitter))
        if not self.models:
            raise ConfigurationError("models", "must have at least one model", "none")
        check_rates("slot_rates", self.slot_rates)
        if self.prefill_slot_rates is not None:
            check_rates("prefill_slot_rates", self.prefill_slot_rates)
        for index, pace in enumerate(self.paces):
            _check_rate(f"paces[{index}]", pace)

    @property
    def keys(self) -> tuple[str, ...]:
        """The models' names, small to large."""
        return tuple(model.key for model in sorted(self.models, key=lambda model: model.size_bytes))

    def model(self, key: str) -> ModelProfile:
        """Return the model ``key``. Raises ConfigurationError."""
        for model in self.models:
            if model.key == key:
                return model
        raise ConfigurationError("models", f"must hold every model that is called ({', '.join(self.keys)})", repr(key))

    def load_seconds(self, key: str, nth: int) -> float:
        """Return the seconds of the ``nth`` load of a model, counted from 1.

        As measured, else from the disk at first, later from the page cache if all models fit.
        """
        measured = self.model(key).load_seconds
        if measured is not None:
            return measured
        cached = nth > 1 and sum(model.size_bytes for model in self.models) <= self.page_cache_bytes
        bandwidth = self.cache_bytes_per_second if cached else self.disk_bytes_per_second
        return self.engine_start_seconds + self.model(key).size_bytes / bandwidth


def _check_rate(name: str, value: object) -> None:
    if not is_number(value) or not 0 < value < math.inf:
        raise ConfigurationError(name, "must be a finite number above 0", shown(value))


@dataclass(frozen=True)
class ServerTiming:
    """The durations of ``profile``. With ``switch_seconds`` every load takes exactly that and no unload takes any time.

    ``jitter`` of the profile makes each duration vary evenly around its figure, drawn from ``seed`` and from what is timed.
    """

    profile: ServerProfile
    seed: int = 0
    switch_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.switch_seconds is not None:
            check_duration("switch_seconds", self.switch_seconds)

    def load_seconds(self, model: str, nth: int) -> float:
        if self.switch_seconds is not None:
            return self.switch_seconds
        return self.profile.load_seconds(model, nth) * self._pace("load", model, nth)

    def unload_seconds(self, model: str, nth: int) -> float:
        if self.switch_seconds is not None:
            return 0.0
        return self.profile.model(model).unload_seconds * self._pace("unload", model, nth)

    def least_switches(self, models: Sequence[str]) -> SwitchTimes:
        if self.switch_seconds is not None:
            return SwitchTimes(dict.fromkeys(models, self.switch_seconds), dict.fromkeys(models, 0.0))
        least = 1.0 - self.profile.jitter
        loads = {key: least * min(self.profile.load_seconds(key, nth) for nth in (1, 2)) for key in models}
        return SwitchTimes(loads, {key: least * self.profile.model(key).unload_seconds for key in models})

    def answer(self, call: PlannedCall) -> AnswerTimes:
        return self._answer(call, call.prompt_tokens)

    def cold_answer(self, call: PlannedCall) -> AnswerTimes:
        """Return how long ``call`` takes where its prompt cache was lost with the instance."""
        return self._answer(call, call.prompt_tokens + (0 if self.profile.keeps_prefix else call.cached_tokens))

    def slowdown(self, requests: int, instances: int = 1, *, reading: bool = False) -> float:
        rates = self.profile.prefill_slot_rates if reading else None
        return slot_slowdown(rates or self.profile.slot_rates, requests) * instances

    def _answer(self, call: PlannedCall, unread: int) -> AnswerTimes:
        model, pace = self.profile.model(call.model), self._pace_of_answer(call.id)
        token = pace * model.seconds_of_token(call.prompt_tokens + call.cached_tokens, call.output_tokens)
        prefill = pace * (model.first_token_seconds + unread / model.prefill_tokens_per_second)
        rest = range(1, call.output_tokens, TOKENS_PER_PIECE)
        pieces = (token, *(token * min(TOKENS_PER_PIECE, call.output_tokens - done) for done in rest))
        return AnswerTimes(prefill, pieces)

    def _pace_of_answer(self, call: int) -> float:
        paces = self.profile.paces
        if not paces:
            return self._pace("answer", call)
        block, place = divmod(call, BLOCK)
        return paces[(Random(repr((self.seed, block))).randrange(len(paces)) + place) % len(paces)]

    def _pace(self, *what: str | int) -> float:
        jitter = self.profile.jitter
        return 1.0 + jitter * Random(repr((self.seed, what))).uniform(-1.0, 1.0) if jitter else 1.0


# ---- files ----


def save_profile(path: Path, profile: ServerProfile) -> None:
    """Write ``profile`` as JSON. Raises OSError."""
    content = {"format": FORMAT, "version": VERSION, **asdict(profile)}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_profile(path: Path) -> ServerProfile:
    """Read a profile that :func:`save_profile` wrote. Raises ConfigurationError, OSError."""
    with path.open("rb") as stream:
        text = stream.read(PROFILE_BYTES_LIMIT + 1)
    try:
        content = json.loads(text) if len(text) <= PROFILE_BYTES_LIMIT else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise ConfigurationError(str(path), f"must be a JSON document of format {FORMAT}, version {VERSION}", "another")
    values = _known(ServerProfile, content, str(path), ignored=("format", "version"))
    for name in ("models", *_LISTS):
        found = values.get(name)
        if isinstance(found, list):
            values[name] = tuple(found)
        elif name == "models" or found is not None:
            raise ConfigurationError(f"{path}: {name}", "must be a list", shown(found))
    values["models"] = tuple(ModelProfile(**_known(ModelProfile, model, str(path))) for model in values["models"])
    return ServerProfile(**values)


def _known(kind: type[Any], content: Any, path: str, ignored: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the members of ``content``. They must be fields of ``kind``, and all fields without a default must be there."""
    names = {each.name for each in fields(kind)}
    if not isinstance(content, dict) or not content.keys() <= names | set(ignored):
        raise ConfigurationError(path, f"must have members among {', '.join(sorted(names))}", "others")
    values = {name: value for name, value in content.items() if name in names}
    try:
        kind(**(values | ({"models": (None,)} if "models" in values else {})))
    except TypeError:
        raise ConfigurationError(
            path, f"must have all members of a {kind.__name__}", "fewer, or of other types"
        ) from None
    return values
