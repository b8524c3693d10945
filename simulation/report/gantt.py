"""Draw the Gantt chart of a replay: what the local slot holds, and what each agent's requests wait for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..drivers.record import CallRecord
from ..drivers.residency import Interval, ResidencyState
from .palette import model_colours, tint

__all__ = ["draw_residency", "gantt", "residency_legend"]

_QUEUED: Final = "#D0D0D0"
_LOADING: Final = "#606060"  # plain greys and black, because a switch may be one pixel wide
_UNLOADING: Final = "#000000"
_LANE_INCHES: Final = 0.3
_MOST_LANES: Final = 40


def gantt(title: str, records: Sequence[CallRecord], intervals: Sequence[Interval], until: float) -> Figure:
    """Draw what happened before ``until`` (seconds): on top what the slot holds, below a lane per agent with its requests' phases.

    Where requests of an agent overlap, generating is in front, then loading. Beyond 40 agents only the first 40 have a lane.
    """
    colours = model_colours(records)
    records = [record for record in records if record.arrived <= until]
    agents = _in_order(records)
    lanes = {agent: lane for lane, agent in enumerate(agents[:_MOST_LANES])}
    height = 2.2 + _LANE_INCHES * (len(lanes) + 2)
    figure = Figure(figsize=(14, height), layout="constrained")
    slot, requests = figure.subplots(2, 1, sharex=True, height_ratios=[2, max(1, len(lanes))])
    draw_residency(slot, 0, [interval for interval in intervals if interval.start < until], colours)
    slot.set_yticks([0], ["local slot"])
    slot.set_ylim(-0.5, 0.5)
    for phase, colour_of, layer in (("queued", _QUEUED, 1), ("loading", _LOADING, 2), ("generating", None, 3)):
        _draw_phase(requests, records, lanes, phase, colour_of, layer, colours)
    requests.set_yticks(range(len(lanes)), list(lanes))
    requests.set_ylim(len(lanes) - 0.5, -0.5)
    requests.set_xlim(0, until or 1)
    requests.set_xlabel("virtual time (s)")
    requests.set_ylabel("agent" if len(agents) <= _MOST_LANES else f"agent (first {_MOST_LANES} of {len(agents)})")
    requests.grid(axis="x", color="#EEEEEE", zorder=0)
    figure.suptitle(title)
    figure.legend(handles=_gantt_legend(colours), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _in_order(records: Iterable[CallRecord]) -> list[str]:
    """Order the agents by their first request; sub-agents (``parent/name``) come below their parents."""
    first: dict[str, float] = {}
    for record in records:
        for name in (record.agent, record.agent.partition("/")[0]):
            first[name] = min(record.arrived, first.get(name, record.arrived))
    agents = {record.agent for record in records}
    return sorted(agents, key=lambda agent: (first[agent.partition("/")[0]], "/" in agent, first[agent], agent))


def draw_residency(axes: Axes, lane: int, intervals: Sequence[Interval], colours: Mapping[str, str]) -> None:
    """Draw what the slot holds, as a bar of height 0.8 around ``lane``."""
    for model, colour in colours.items():
        for state, shade in _slot_colours(colour).items():
            bars = [(i.start, i.seconds) for i in intervals if i.model == model and i.state == state]
            axes.broken_barh(bars, (lane - 0.4, 0.8), linewidth=0, facecolor=shade)


def _slot_colours(colour: str) -> dict[ResidencyState, str | tuple[float, float, float]]:
    return {"busy": colour, "resident": tint(colour, 0.35), "loading": _LOADING, "unloading": _UNLOADING}


def _draw_phase(
    axes: Axes,
    records: Sequence[CallRecord],
    lanes: Mapping[str, int],
    phase: str,
    colour: str | None,
    layer: int,
    colours: Mapping[str, str],
) -> None:
    """Draw the bars of one phase in all lanes, in ``colour`` or in their models' colours."""
    by_lane: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for record in records:
        start, seconds = _phase(record, phase)
        if seconds > 0 and record.agent in lanes:
            by_lane.setdefault((lanes[record.agent], colour or colours[record.model]), []).append((start, seconds))
    for (lane, shade), bars in by_lane.items():
        axes.broken_barh(bars, (lane - 0.38, 0.76), facecolor=shade, linewidth=0, zorder=layer + 1)


def _phase(record: CallRecord, phase: str) -> tuple[float, float]:
    """Return start and length of a phase, in seconds."""
    if phase == "queued":
        return record.arrived, record.queued_seconds
    if phase == "loading":
        return record.arrived + record.queued_seconds, record.loading_seconds
    return record.granted, record.finished - record.granted


def residency_legend(colours: Mapping[str, str]) -> list[Patch]:
    """Return the legend of the colours of :func:`draw_residency`."""
    return [
        *(Patch(facecolor=colour, label=f"{model}: busy / generating") for model, colour in colours.items()),
        *(
            Patch(facecolor=tint(colour, 0.35), label=f"{model}: resident, not in use")
            for model, colour in colours.items()
        ),
        Patch(facecolor=_LOADING, label="loading, or a request that waits for it"),
        Patch(facecolor=_UNLOADING, label="unloading"),
    ]


def _gantt_legend(colours: Mapping[str, str]) -> list[Patch]:
    return [
        *residency_legend(colours),
        Patch(facecolor=_QUEUED, label="queued"),
    ]
