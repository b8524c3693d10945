"""The command ``calibrate``: measure a real server, and write a latency profile of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from statemachine.shell.options import counts_list, option

from ..analysis.fitting import fitted_profile
from ..drivers.calibration import CalibrationPlan, calls_in, measure
from ..timing.profile import ModelProfile, ServerProfile, save_profile
from .progress import progress
from .server_options import ServerOptions

__all__ = ["Options", "profile_lines", "run"]

CONTEXT: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Options(ServerOptions):
    """Which server, which of its models, how often, and where the profile goes."""

    prompts: tuple[int, ...] = option((32, 128, 384), "sizes of the prompts, tokens, with commas", parse=counts_list)
    outputs: tuple[int, ...] = option((1, 24, 72), "sizes of the answers, tokens, with commas", parse=counts_list)
    rounds: int = option(3, "how often every size is measured", least=1, most=1000)
    parallel: int = option(1, "measure up to this many requests at once", least=1, most=64)
    seed: int = option(0, "seed of the order of the measurements")
    out: Path = option(Path("profile.json"), "the file of the profile", parse=Path)


def run(options: Options) -> int:
    """Measure, fit, write the profile, and tell the fit error. Raises ConfigurationError, OSError."""
    plan = CalibrationPlan(options.prompts, options.outputs, options.rounds, options.parallel, options.seed)
    style = options.style()
    with progress(calls_in(plan, len(options.keys)), "calls") as finished:
        measured = trio.run(measure, options.keys, plan, lambda slots: options.config(parallel=slots), style, finished)
    source = f"Measured by calibrate: {options.server}, {len(measured.alone)} calls of one at a time."
    profile = fitted_profile(options.server, options.keys, measured, source=source)
    save_profile(options.out, profile)
    print(*profile_lines(profile), f"profile: {options.out}", sep="\n")
    return 0


def profile_lines(profile: ServerProfile) -> list[str]:
    """Describe each model, several requests at once, and how well the figures fit."""
    lines = [
        f"{model.key}: prefill {model.prefill_tokens_per_second:.0f} tokens/s, "
        f"decode {_decode_rate(model):.1f} tokens/s at {CONTEXT:,} tokens of context, "
        f"load {profile.load_seconds(model.key, 1):.2f} s, unload {model.unload_seconds:.2f} s"
        for model in profile.models
    ]
    if len(profile.slot_rates) > 1:
        curves = ("decode", profile.slot_rates), ("prefill", profile.prefill_slot_rates or ())
        lines += [f"{name}, 1 to {len(rates)} at once: {_rates(rates)} times the rate of one" for name, rates in curves]
    fit = profile.fit
    return [*lines, f"fit error: median {fit['median_error']:.1%}, p95 {fit['p95_error']:.1%}"]


def _decode_rate(model: ModelProfile) -> float:
    return 1 / max(model.seconds_of_token(CONTEXT, 0), 1e-9)


def _rates(rates: tuple[float, ...]) -> str:
    return ", ".join(f"{rate:.2f}" for rate in rates)
