"""Fit a latency profile to what was measured of a server, and tell how well it fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, linear_regression, median, pstdev

from statemachine.errors import ConfigurationError

from ..drivers.calibration import Measured
from ..drivers.record import CallRecord, Interval
from ..timing.profile import ModelProfile, ServerProfile
from .metrics import percentile

__all__ = ["fit_errors", "fitted_profile"]


def fitted_profile(
    name: str, models: Sequence[str], measured: Measured, *, size_bytes: Mapping[str, int], source: str
) -> ServerProfile:
    """The profile whose figures fit ``measured`` best, by least squares. Raises ConfigurationError where a model was not answered."""
    profiles = tuple(_model(model, measured, size_bytes.get(model, 1_000_000_000)) for model in models)
    bandwidths = [
        profile.size_bytes / interval.seconds
        for profile in profiles
        for interval in _of(measured.intervals, profile.key, "loading")
        if interval.seconds > 0
    ]
    bandwidth = median(bandwidths) if bandwidths else 1e12
    profile = ServerProfile(
        name=name,
        models=profiles,
        source=source,
        disk_bytes_per_second=bandwidth,
        cache_bytes_per_second=bandwidth,
        slot_rates=_slot_rates(measured, models[0]),
        keeps_prefix=False,
    )
    return _with_fit(profile, measured)


def _with_fit(profile: ServerProfile, measured: Measured) -> ServerProfile:
    errors = fit_errors(profile, measured.alone)
    fit = {"median_error": median(errors), "p95_error": percentile(errors, 95) or 0.0, "calls": float(len(errors))}
    spread = pstdev([1 + error for error in errors]) if len(errors) > 1 else 0.0
    return replace(profile, fit=fit, jitter=min(1.0, spread * 3**0.5))  # the even distribution of this deviation


def fit_errors(profile: ServerProfile, records: Sequence[CallRecord]) -> list[float]:
    """By what part of it each measured answer differs from what ``profile`` predicts."""
    found = []
    for record in records:
        service = record.total - record.queued_seconds - record.loading_seconds
        if record.outcome == "ok" and service > 0:
            found.append(abs(_predicted(profile.model(record.model), record) - service) / service)
    return found


def _predicted(model: ModelProfile, record: CallRecord) -> float:
    token = model.token_seconds + model.token_seconds_per_context_token * record.prompt_tokens
    prefill = model.first_token_seconds + record.prompt_tokens / model.prefill_tokens_per_second
    return prefill + token * record.output_tokens


def _model(key: str, measured: Measured, size: int) -> ModelProfile:
    answered = [each for each in measured.alone if each.model == key and each.outcome == "ok" and each.ttft is not None]
    if len({record.prompt_tokens for record in answered}) < 2:
        raise ConfigurationError("models", "must answer prompts of two sizes", repr(key))
    token, growth = _line(
        [record for record in answered if record.output_tokens > 1],
        lambda record: (record.total - (record.ttft or 0.0)) / (record.output_tokens - 1),
    )
    fixed, per_token = _line(
        answered, lambda record: (record.ttft or 0.0) - record.queued_seconds - record.loading_seconds - token
    )
    unloads = [interval.seconds for interval in _of(measured.intervals, key, "unloading")]
    return ModelProfile(
        key=key,
        size_bytes=size,
        prefill_tokens_per_second=1 / max(per_token, 1e-9),
        token_seconds=token,
        token_seconds_per_context_token=growth,
        first_token_seconds=fixed,
        unload_seconds=median(unloads) if unloads else 0.0,
    )


def _line(records: Sequence[CallRecord], value: Callable[[CallRecord], float]) -> tuple[float, float]:
    """Intercept and slope over the prompt's tokens, neither below 0."""
    sizes, values = [float(record.prompt_tokens) for record in records], [value(record) for record in records]
    if len(set(sizes)) < 2:
        return max(0.0, fmean(values)) if values else 0.0, 0.0
    slope, intercept = linear_regression(sizes, values)
    if slope < 0:
        return max(0.0, fmean(values)), 0.0
    return max(0.0, intercept), slope


def _of(intervals: Sequence[Interval], model: str, state: str) -> list[Interval]:
    return [interval for interval in intervals if (interval.model, interval.state) == (model, state)]


def _slot_rates(measured: Measured, model: str) -> tuple[float, ...]:
    """The rate of several requests together over that of one, from answers of the same size."""
    rates = [1.0]
    for slots, records in sorted(measured.together.items()):
        several = [record for record in records if record.output_tokens > 1 and record.outcome == "ok"]
        alone = [
            _service(record)
            for record in measured.alone
            if record.model == model and several and record[3:5] == several[0][3:5]
        ]
        if not several or not alone:
            break
        rates.append(slots * median(alone) / median(map(_service, several)))
    return tuple(rates)


def _service(record: CallRecord) -> float:
    return record.total - record.queued_seconds - record.loading_seconds
