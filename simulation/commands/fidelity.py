"""The command ``fidelity``: how well the simulator foretells a real server.

In rounds: calibrate, then run the workload for real, through the manager, under each policy in turn; calibrate once more at the end. The
machine's slowness comes in stretches, so calibration and runs must be interleaved. Then a profile is fitted to the calibrations alone, the
workload is simulated with it, and the predictions stand beside the real runs and the differences between those.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from statemachine.errors import ConfigurationError
from statemachine.policies.names import BASELINE, DEFAULT, NAMES, policies_named
from statemachine.shell.options import command_line, option

from ..analysis.fidelity import Fidelity, Foretold, foretell, values_of
from ..analysis.fitting import fitted_profile
from ..analysis.metrics import percentile
from ..drivers.calibration import CalibrationPlan, Measured, calls_in, measure, merged
from ..drivers.manager import replay
from ..drivers.record import Replay
from ..drivers.requests import RequestStyle
from ..timing.profile import save_profile
from ..workloads.workload import Workload
from .calibrate import profile_lines
from .progress import progress
from .server_options import ServerOptions
from .workload_options import LocalModels, WorkloadOptions, local_models, make_workload, workload_settings

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(WorkloadOptions, ServerOptions):
    """Which server, which workload, how often, and where the report goes."""

    policies: str = option(f"{BASELINE},{DEFAULT}", f"with commas, of {NAMES}")
    parallel: int = option(1, "requests that a model answers at once", least=1, most=64)
    rounds: int = option(3, "how often everything is measured; two are needed for the noise floor", least=1, most=100)
    out: Path = option(Path("report-fidelity"), "folder of the report", parse=Path)

    @property
    def local(self) -> LocalModels:
        """The models of the server. Raises ConfigurationError."""
        return local_models(self.keys)


class _Experiment:
    """The measurements so far."""

    def __init__(self, options: Options, workload: Workload, style: RequestStyle) -> None:
        self.options = options
        self.workload = workload
        self.style = style
        self.policies = policies_named(options.policies)
        self.plan = _plan(workload, options.parallel)
        self.calibrations: list[Measured] = []
        self.runs: dict[str, list[Replay]] = {name: [] for name in self.policies}

    @property
    def calls(self) -> int:
        """How many calls everything takes."""
        rounds, models = self.options.rounds, len(self.options.keys)
        return (rounds + 1) * calls_in(self.plan, models) + rounds * len(self.policies) * len(self.workload.calls)

    async def measure(self, finished: Callable[[], None]) -> None:
        for number in range(self.options.rounds):
            await self._calibrate(number, finished)
            names = list(self.policies)
            for name in names if number % 2 else reversed(names):
                self.runs[name].append(await self._run(name, finished))
        await self._calibrate(self.options.rounds, finished)

    async def _calibrate(self, number: int, finished: Callable[[], None]) -> None:
        plan = CalibrationPlan(self.plan.prompts, self.plan.outputs, 1, self.plan.slots, seed=number)
        config_at = partial(self.options.config, self.policies[next(iter(self.policies))])
        self.calibrations.append(await measure(self.options.keys, plan, config_at, self.style, finished))

    async def _run(self, name: str, finished: Callable[[], None]) -> Replay:
        config = self.options.config(self.policies[name], self.options.parallel)
        found = await replay(self.workload, config, finished=finished, style=self.style)
        failed = [record.outcome for record in found.records if record.outcome != "ok"]
        if failed:
            raise ConfigurationError("workload", "must be answered whole by the server", f"{len(failed)} {failed[0]}")
        return found


def _plan(workload: Workload, slots: int) -> CalibrationPlan:
    """Plan one round with sizes of the workload: those that 5, 50 and 95 of 100 calls do not exceed."""
    prompts = _sizes([call.prompt_tokens + call.cached_tokens for call in workload.calls])
    return CalibrationPlan(prompts, _sizes([call.output_tokens for call in workload.calls]), 1, slots)


def _sizes(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted({int(percentile(values, percent) or 1) for percent in (5, 50, 95)}))


def run(options: Options) -> int:
    """Measure, predict, and write the report. Raises ConfigurationError, OSError."""
    from ..report.compare_report import aligned
    from ..report.fidelity_report import fidelity_table, write_fidelity
    from ..report.page import Origin

    made = make_workload(options, seed=options.seed, local=options.local)
    options.out.mkdir(parents=True, exist_ok=True)  # before the work, in case it cannot be had
    experiment = _Experiment(options, made.workload, options.style())
    before = _load()
    with progress(experiment.calls, "calls") as finished:
        trio.run(experiment.measure, finished)
    source = f"Measured by fidelity: {options.server}, {options.rounds + 1} calibrations between the runs."
    profile = fitted_profile(options.server, options.keys, merged(experiment.calibrations), source=source)
    save_profile(options.out / "profile.json", profile)
    found = Fidelity(
        [
            Foretold(name, foretell(made.workload, profile, name, options.parallel), list(map(values_of, runs)))
            for name, runs in experiment.runs.items()
        ]
    )
    table = fidelity_table(found)
    print("\n".join(aligned([table.head, *table.rows])), *found.sentences(), *profile_lines(profile), sep="\n\n")
    settings = {
        **workload_settings(options, made),
        "server": f"{options.server}, in real time",
        "slot": f"one model at a time, {options.parallel} at once",
        "load of the machine (1, 5, 15 minutes)": f"{before} before, {_load()} after",
    }
    origin = Origin(command_line("fidelity", options), settings, made.workload.assumptions)
    print(f"report: {write_fidelity(options.out, found, profile_lines(profile), origin)}")
    return 0


def _load() -> str:
    """Return how busy the machine is, by its own count, where it tells that."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg()) if hasattr(os, "getloadavg") else "not known"
