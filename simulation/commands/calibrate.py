"""The command ``calibrate``: measure a real server, and write a latency profile of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trio

from statemachine.errors import ConfigurationError
from statemachine.policies import Fifo
from statemachine.shell.options import option

from ..analysis.fitting import fitted_profile
from ..drivers.calibration import CalibrationPlan, calls_in, measure
from ..drivers.requests import SizedRequests
from ..drivers.servers import SERVERS, real_server
from ..timing.profile import save_profile
from .progress import progress

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which server, which of its models, how often, and where the profile goes."""

    base_url: str = option("http://127.0.0.1:1234", "the server")
    server: str = option("lmstudio", f"what it is: {', '.join(SERVERS)}")
    models: str = option("", "its models, small to large, with commas; must be given")
    rounds: int = option(3, "how often every size is measured", least=1, most=1000)
    parallel: int = option(1, "measure up to this many requests at once", least=1, most=64)
    words_per_token: float = option(1.0, "words that the server counts as a token", least=0.01, most=10)
    seed: int = option(0, "seed of the order of the measurements")
    out: Path = option(Path("profile.json"), "the file of the profile", parse=Path)


def run(options: Options) -> int:
    """Measure, fit, write the profile, and tell the fit error. Raises ConfigurationError, OSError."""
    models = [name.strip() for name in options.models.split(",") if name.strip()]
    if not models:
        raise ConfigurationError("models", "must name the server's models", repr(options.models))
    plan = CalibrationPlan(rounds=options.rounds, slots=options.parallel, seed=options.seed)
    style = SizedRequests(options.words_per_token)
    with progress(calls_in(plan, len(models)), "calls") as finished:
        measured = trio.run(
            measure,
            models,
            plan,
            lambda slots: real_server(options.server, options.base_url, Fifo, parallel=slots),
            style,
            finished,
        )
    source = f"Measured by calibrate: {options.server}, {len(measured.alone)} calls of one at a time."
    profile = fitted_profile(options.server, models, measured, size_bytes={}, source=source)
    save_profile(options.out, profile)
    for model in profile.models:
        print(
            f"{model.key}: prefill {model.prefill_tokens_per_second:.0f} tokens/s, "
            f"decode {1 / max(model.token_seconds, 1e-9):.1f} tokens/s, load {profile.load_seconds(model.key, 1):.2f} s"
        )
    print(f"fit error: median {profile.fit['median_error']:.1%}, p95 {profile.fit['p95_error']:.1%}")
    print(f"profile: {options.out}")
    return 0
