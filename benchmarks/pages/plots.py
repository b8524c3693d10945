"""The plots of the pages. They read only the JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..field.summary import Row, rows

__all__ = ["costs", "field"]

OURS, PEER, MISSED = "#0072B2", "#999999", "#D55E00"
MODELS: Final = {"qwen3.5-4b": "#0072B2", "openai/gpt-oss-20b": "#E69F00"}
LABELS: Final = {"qwen3.5-4b": "small model loaded", "openai/gpt-oss-20b": "large model loaded"}
SHOWN: Final = (
    "ours, gated",
    "our gateway, gated",
    "ours, fifo",
    "one lock for all",
    "loco-agent 0.4.0, capacity 1",
    "promptchain 0.1.1",
    "local-engine-router 0.7.1, engine per model",
    "local-engine-router 0.7.1, as `init` writes it",
    "loco-agent 0.4.0, capacity 4",
    "a lock per model",
    "no coordination",
)


def field(result: Any, target: Path) -> None:
    """Which model is loaded when, under each contender, where answers were killed, and the figures."""
    by_name = {row.name: row for row in rows(result["figures"])}
    lanes = [by_name[name] for name in SHOWN if name in by_name]
    figure = Figure(figsize=(11, 0.44 * len(lanes) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    end = max((lane.events[-1][0] for lane in lanes if lane.events), default=1.0)
    end = max(end, *(lane.measures["makespan"][0] for lane in lanes)) / 60
    for place, lane in enumerate(lanes):
        _lane(axes, -place, lane)
        _words(axes, -place, lane, end)
    axes.set_yticks([-place for place in range(len(lanes))], [lane.name.replace("`", "") for lane in lanes])
    for label, lane in zip(axes.get_yticklabels(), lanes, strict=True):
        label.set_color(OURS if lane.kind == "ours" else "black")
    axes.set_xlim(0, end * 1.75)
    axes.set_ylim(-len(lanes) + 0.4, 0.6)
    axes.set_xticks(list(range(0, int(end) + 1, 5)))
    axes.set_xlabel("minutes", loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_bounds(0, end)
    axes.tick_params(axis="y", length=0)
    for at, title in zip(
        _columns(end), ("done after", "p95", "answers\nkilled", "attempts\nrefused", "never\nanswered"), strict=True
    ):
        axes.text(at, 0.55, title, ha="right", va="bottom", fontsize=8.5, color="#444444")
    _legend(figure)
    figure.savefig(target, dpi=100)


def _lane(axes: Axes, place: int, lane: Row) -> None:
    began: dict[str, list[tuple[str, float]]] = {}
    for at, what, model, answers in lane.events:
        minute = at / 60
        if what in ("load", "loaded", "unload"):
            began.setdefault(model, []).append((what, minute))
        if what == "refused":
            axes.plot([minute], [place - 0.36], marker="|", color=MISSED, markersize=4, linewidth=0)
        if what == "unload" and answers:
            axes.plot([minute], [place + 0.36], marker="x", color="black", markersize=4.5, linewidth=0, zorder=3)
    for model, states in began.items():
        last = lane.measures["makespan"][0] / 60
        for (what, start), (_, stop) in zip(states, [*states[1:], ("", last)], strict=True):
            if what == "loaded":
                axes.barh(place, max(stop - start, 0), left=start, height=0.52, color=MODELS[model])


def _columns(end: float) -> list[float]:
    return [end * share for share in (1.16, 1.27, 1.40, 1.55, 1.74)]


def _words(axes: Axes, place: int, lane: Row, end: float) -> None:
    counted = lane.counted
    wrong = [counted["killed"], counted["refused"], counted["lost"]]
    done = f"{lane.measures['makespan'][0] / 60:.0f} min" if lane.answers_all else "not done"
    p95 = f"{lane.measures['p95'][0]:.0f} s" if lane.answers_all else "-"
    texts = [done, p95, *(f"{count:.0f}" if count == int(count) else f"{count:.1f}" for count in wrong)]
    texts[4] += f" of {lane.calls}" if counted["lost"] else ""
    for at, text, count in zip(_columns(end), texts, [0.0, 0.0, *wrong], strict=True):
        colour = MISSED if count or text == "not done" else "black"
        axes.text(at, place, text, ha="right", va="center", fontsize=9, color=colour)


def _legend(figure: Figure) -> None:
    handles: list[Any] = [Patch(color=colour, label=LABELS[model]) for model, colour in MODELS.items()]
    handles.append(Line2D([], [], marker="x", color="black", linewidth=0, label="a model unloaded while it answers"))
    handles.append(
        Line2D([], [], marker="|", color=MISSED, linewidth=0, label="a load refused: the memory holds one model")
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=9)


def costs(results: dict[str, Any], target: Path) -> None:
    """Overhead, growth and simulators, as far as they were measured."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    _overhead(left, results["overhead"]["figures"]["warm"])
    _growth(middle, results["growth"]["figures"]["waiters"])
    _rates(right, results["simulators"]["figures"])
    figure.savefig(target, dpi=100)


def _overhead(axes: Axes, sides: dict[str, Any]) -> None:
    ordered = sorted(sides.items(), key=lambda side: -side[1]["time"]["median"])
    names = [
        name.replace(", a new configuration object per call", ",\nnew configuration object") for name, _ in ordered
    ]
    values = [side["time"]["median"] for _, side in ordered]
    bars = axes.barh(names, values, color=[OURS if name.startswith("ours") else PEER for name in names])
    axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 2, max(values) * 4)
    axes.set_title("acquire and release, nothing else runs (us)", fontsize=10)
    axes.tick_params(axis="y", labelsize=8)


def _growth(axes: Axes, points: list[dict[str, Any]]) -> None:
    waiters = [point["waiters"] for point in points]
    for name, label, colour in (("manager", "ours", OURS), ("limiter", "trio.CapacityLimiter", PEER)):
        base = points[0][name]["median"]
        axes.plot(waiters, [point[name]["median"] / base for point in points], "o-", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])  # room for the marks at the top
    axes.set_xlabel("waiters")
    axes.set_title("a hand-off, times that with 10 waiters", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


def _rates(axes: Axes, figures: dict[str, Any]) -> None:
    styles = {
        "heap driver": (OURS, "ours"),
        "SimPy": (PEER, "SimPy"),
        "ciw": ("#009E73", "ciw"),
        "salabim": ("#CC79A7", "salabim"),
    }
    for kind, line in (("one model", "o-"), ("switches", "o--")):
        for name, points in figures[kind].items():
            colour, label = styles[name]
            label = label if kind == "one model" else f"{label}, with switches"
            axes.plot([p["customers"] for p in points], [p["rate"] for p in points], line, color=colour, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(60, 3e5)  # room for the legend
    axes.set_xlabel("customers")
    axes.set_title("simulated customers per second", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
