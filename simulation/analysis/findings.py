"""Say what a comparison found, in sentences that need no table."""

from __future__ import annotations

from statemachine.policies.names import BASELINE, DEFAULT

from ..drivers.uncoordinated import ATTEMPTS, Uncoordinated
from .comparison import Numbers, PolicyComparison

__all__ = ["coordination_saved", "policy_saved", "seconds_text"]


def seconds_text(seconds: float) -> str:
    """Return a time as people say it: ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def policy_saved(comparison: PolicyComparison) -> str:
    """Say what the default policy (or the last one compared) saved against first come, first served."""
    runs = {run.policy: run.numbers for run in comparison.runs}
    name = DEFAULT if DEFAULT in runs else comparison.runs[-1].policy
    base, own = runs[BASELINE], runs[name]
    requests = len(comparison.free.replay.records)
    return (
        f"With the policy {name} all {requests} requests were answered in {seconds_text(own.makespan)}; first come, first served took"
        f" {seconds_text(base.makespan)}: {_change(own.makespan, base.makespan)}, with {own.switches} switches of the model in place of"
        f" {base.switches}. {_latency(own, base)}"
    )


def _latency(own: Numbers, base: Numbers) -> str:
    return (
        f"The mean answer took {seconds_text(own.mean)} in place of {seconds_text(base.mean)}"
        f" ({_change(own.mean, base.mean)}), the slowest {seconds_text(own.max)} in place of {seconds_text(base.max)}."
    )


def coordination_saved(comparison: PolicyComparison, alone: Uncoordinated) -> str:
    """Say what happened when the same agents called the same server, each by itself."""
    makespan = max((record.finished for record in alone.records), default=0.0)
    failed = sum(record.outcome != "ok" for record in alone.records)
    never = (
        f"{failed} of {len(alone.records)} requests were not answered in {ATTEMPTS} attempts"
        if failed
        else "all were answered"
    )
    runs = {run.policy: run.numbers for run in comparison.runs}
    own = runs.get(DEFAULT, comparison.runs[-1].numbers)
    return (
        "Without coordination, where every agent calls the server itself and the server loads and evicts models just in time in a memory"
        f" that holds one of them, {never}: models were loaded {alone.loads} times, and evictions cut {alone.cut} answers. That took"
        f" {seconds_text(makespan)}; coordinated it took {_change(own.makespan, makespan)}."
    )


def _change(own: float, base: float) -> str:
    part = own / base - 1 if base else 0.0
    return f"{abs(part):.0%} {'less' if part <= 0 else 'more'} time"
