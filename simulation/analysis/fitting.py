"""Fit a latency profile to measurements of a server, and compute how well it fits.

The seconds of loads and unloads are means, because a run is as long as their sum. The seconds of prompts and of tokens are lines over their
sizes, fitted by least squares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean, linear_regression, median, pstdev

from statemachine.errors import ConfigurationError
from statemachine.text import fit_to_show

from ..drivers.calibration import Measured
from ..drivers.record import CallRecord
from ..drivers.residency import Interval
from ..timing.profile import ModelProfile, ServerProfile
from .metrics import percentile

__all__ = ["fit_errors", "fitted_profile", "service_seconds"]


def fitted_profile(name: str, models: Sequence[str], measured: Measured, *, source: str) -> ServerProfile:
    """Return the profile of ``models``, small to large, that fits ``measured`` best.

    Raises ConfigurationError if a model did not answer prompts of two sizes.
    """
    profile = ServerProfile(
        name=name,
        models=tuple(_model(model, rank, measured) for rank, model in enumerate(models, 1)),
        source=source,
        slot_rates=_slot_rates(measured, _decode_seconds, lambda record: record.output_tokens),
        prefill_slot_rates=_slot_rates(measured, _first_token_seconds, lambda record: record.prompt_tokens),
        keeps_prefix=False,
        jitter=_spread_of_loads(measured, models),
    )
    paces = _paces(profile, measured.alone)
    errors = [abs(1 / pace - 1) for pace in paces]
    fit = {"median_error": median(errors), "p95_error": percentile(errors, 95) or 0.0, "calls": float(len(errors))}
    return replace(profile, fit=fit, paces=paces)


def fit_errors(profile: ServerProfile, records: Sequence[CallRecord]) -> list[float]:
    """Return the relative error of ``profile`` for each measured answer: 0.1 is an answer that is predicted 10 % too long or too short."""
    return [abs(1 / pace - 1) for pace in _paces(profile, records)]


def service_seconds(record: CallRecord) -> float:
    """Return the seconds of the answer without queueing and loading."""
    return record.total - record.queued_seconds - record.loading_seconds


def _paces(profile: ServerProfile, records: Sequence[CallRecord]) -> tuple[float, ...]:
    """Return the measured time of each answer, divided by the time that the profile predicts."""
    return tuple(
        service_seconds(record) / _predicted(profile.model(record.model), record)
        for record in records
        if record.outcome == "ok" and service_seconds(record) > 0
    )


def _predicted(model: ModelProfile, record: CallRecord) -> float:
    token = model.seconds_of_token(record.prompt_tokens, record.output_tokens)
    prefill = model.first_token_seconds + record.prompt_tokens / model.prefill_tokens_per_second
    return prefill + token * record.output_tokens


def _without_answers(key: str, measured: Measured) -> str:
    """Describe why a model has no profile, as its calls ended."""
    ends = Counter(each.outcome for each in measured.alone if each.model == key and each.outcome != "ok")
    told = ", ".join(f"{count} times {name}" for name, count in sorted(ends.items()))
    return f"{fit_to_show(key)!r}, {f'whose calls failed ({told})' if told else 'whose answers have no tokens'}"


def _model(key: str, rank: int, measured: Measured) -> ModelProfile:
    answered = [each for each in measured.alone if each.model == key and each.outcome == "ok" and each.ttft is not None]
    if len({record.prompt_tokens for record in answered}) < 2:
        raise ConfigurationError("models", "must answer prompts of two sizes", _without_answers(key, measured))
    longer = [each for each in answered if each.output_tokens > 1]
    token, growth = _line([each.prompt_tokens + each.output_tokens / 2 for each in longer], map(_token_seconds, longer))
    first = (_first_token_seconds(each) - token - growth * each.prompt_tokens for each in answered)
    fixed, per_token = _line([float(each.prompt_tokens) for each in answered], first)
    return ModelProfile(
        key=key,
        size_bytes=rank,  # not measured, and not needed: the load is; it orders the models
        prefill_tokens_per_second=1 / max(per_token, 1e-9),
        token_seconds=token,
        token_seconds_per_context_token=growth,
        first_token_seconds=fixed,
        unload_seconds=_mean(_of(measured.intervals, key, "unloading")),
        load_seconds=_mean(_of(measured.intervals, key, "loading")),
    )


def _line(sizes: Sequence[float], found: Iterable[float]) -> tuple[float, float]:
    """Return intercept and slope of the line through ``found`` over ``sizes``, neither below 0."""
    values = list(found)
    if len(set(sizes)) < 2:
        return max(0.0, fmean(values)) if values else 0.0, 0.0
    slope, intercept = linear_regression(sizes, values)
    if slope < 0:
        return max(0.0, fmean(values)), 0.0
    if intercept < 0:  # the line through the origin
        return 0.0, sum(x * y for x, y in zip(sizes, values, strict=True)) / sum(x * x for x in sizes)
    return intercept, slope


def _first_token_seconds(record: CallRecord) -> float:
    return (record.ttft or 0.0) - record.queued_seconds - record.loading_seconds


def _decode_seconds(record: CallRecord) -> float:
    return record.total - (record.ttft or 0.0)


def _token_seconds(record: CallRecord) -> float:
    return _decode_seconds(record) / (record.output_tokens - 1)


# ---- loads ----


def _of(intervals: Sequence[Interval], model: str, state: str) -> list[float]:
    return [each.seconds for each in intervals if (each.model, each.state) == (model, state)]


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0


def _spread_of_loads(measured: Measured, models: Sequence[str]) -> float:
    """Return the jitter of loads: half the width of the uniform distribution with their standard deviation, divided by their mean."""
    loads = [_of(measured.intervals, model, "loading") for model in models]
    paces = [load / fmean(each) for each in loads for load in each if fmean(each) > 0]
    return min(1.0, pstdev(paces) * 3**0.5) if len(paces) > 1 else 0.0


# ---- slots ----


def _slot_rates(
    measured: Measured, seconds: Callable[[CallRecord], float], size: Callable[[CallRecord], int]
) -> tuple[float, ...]:
    """Return the rate of 1, 2, ... requests together, divided by the rate of one: the mean over the models.

    Only the calls with the largest ``size`` count.
    """
    rates = [1.0]
    for slots, records in sorted(measured.together.items()):
        found = []
        for model in dict.fromkeys(record.model for record in records):
            answered = [record for record in records if record.model == model and record.outcome == "ok"]
            largest = max(map(size, answered), default=0)
            several = [record for record in answered if size(record) == largest]
            alone = [each for each in measured.alone if several and each[2:5] == several[0][2:5]]
            if alone:
                found.append(slots * fmean(map(seconds, alone)) / fmean(map(seconds, several)))
        if not found:
            break
        rates.append(fmean(found))
    return tuple(rates)
