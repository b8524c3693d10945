"""Traces as workloads, as the commands make them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulation.workloads.traces.azure import read_azure
from simulation.workloads.traces.notes import Notes
from simulation.workloads.traces.sessions import Deal, timed_workload
from simulation.workloads.workload import Workload

__all__ = ["azure_workload"]


def azure_workload(
    path: Path, weights: Mapping[str, float], *, agents: int, requests: int | None = None, seed: int = 0
) -> Workload:
    """The first ``requests`` rows of an Azure trace, dealt to agents and models."""
    return timed_workload(path.name, read_azure(path, Notes()), Deal(weights, agents, seed), requests=requests)
