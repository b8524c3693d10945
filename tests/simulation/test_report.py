"""The report folder and its pictures. What the pictures look like is for eyes; here, that they show what the records say."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from simulation.analysis.metrics import percentile, summarise
from simulation.drivers.record import CallRecord, Replay
from simulation.drivers.residency import Interval
from simulation.report.gantt import gantt
from simulation.report.page import Origin
from simulation.report.palette import model_colours, tint
from simulation.report.replay_plots import draw_all, latency_cdf, queue_length
from simulation.report.replay_report import write_report
from simulation.workloads.workload import PlannedCall, Workload
from statemachine import ProviderManager, ProviderManagerConfig


def record(call: int, agent: str, model: str, arrived: float, phases: tuple[float, float, float]) -> CallRecord:
    queued, loading, generating = phases
    total = sum(phases)
    return CallRecord(call, agent, model, 10, 5, arrived, queued, loading, total - generating / 2, total, outcome="ok")


QUEUED, LOADING, UNLOADING = "#D0D0D0", "#606060", "#000000"
RECORDS = (
    record(0, "ann", "m", 0.0, (0.0, 2.0, 4.0)),
    record(1, "bob", "n", 1.0, (5.0, 3.0, 6.0)),
    record(2, "ann/sub", "m", 2.0, (13.0, 4.0, 1.0)),
    record(3, "bob", "n", 16.0, (0.0, 0.0, 0.0)),
)
INTERVALS = (
    Interval("m", "loading", 0, 2),
    Interval("m", "busy", 2, 6),
    Interval("m", "unloading", 6, 7),
    Interval("n", "loading", 7, 9),
    Interval("n", "busy", 9, 15),
    Interval("n", "resident", 15, 20),
)


def bars(figure: Figure, axes: int) -> dict[str, set[tuple[float, float, float]]]:
    """By colour: start, end and lane of each bar."""
    found: dict[str, set[tuple[float, float, float]]] = {}
    for collection in figure.axes[axes].collections:
        assert isinstance(collection, PolyCollection)
        (colour,) = np.asarray(collection.get_facecolor()).tolist()  # one for all bars of a collection
        for path in collection.get_paths():
            box = path.get_extents()
            bar = round(box.x0, 6), round(box.x1, 6), round((box.y0 + box.y1) / 2, 6)
            found.setdefault(to_hex(tuple(colour)).upper(), set()).add(bar)
    return found


def test_the_chart_has_a_lane_per_agent_and_a_bar_per_phase() -> None:
    figure = gantt("title", RECORDS, INTERVALS, until=20.0)
    colours = model_colours(RECORDS)
    labels = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert labels == ["ann", "ann/sub", "bob"]
    assert bars(figure, 1) == {
        QUEUED: {(2, 15, 1), (1, 6, 2)},
        LOADING: {(0, 2, 0), (15, 19, 1), (6, 9, 2)},
        colours["m"]: {(2, 6, 0), (19, 20, 1)},
        colours["n"]: {(9, 15, 2)},
    }


def test_the_chart_shows_what_the_slot_holds() -> None:
    figure = gantt("title", RECORDS, INTERVALS, until=20.0)
    colours = model_colours(RECORDS)
    assert bars(figure, 0) == {
        LOADING: {(0, 2, 0), (7, 9, 0)},
        UNLOADING: {(6, 7, 0)},
        colours["m"]: {(2, 6, 0)},
        colours["n"]: {(9, 15, 0)},
        to_hex(tint(colours["n"], 0.35)).upper(): {(15, 20, 0)},
    }


def test_a_chart_of_the_beginning_leaves_out_what_comes_later() -> None:
    figure = gantt("title", RECORDS, INTERVALS, until=1.5)
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["ann", "bob"]
    assert figure.axes[1].get_xlim() == (0, 1.5)
    assert bars(figure, 0) == {LOADING: {(0, 2, 0)}}


def test_no_more_than_forty_lanes() -> None:
    records = [record(index, f"agent {index:02d}", "m", float(index), (0.0, 0.0, 1.0)) for index in range(50)]
    axes = gantt("title", records, (), until=60.0).axes[1]
    assert len(axes.get_yticklabels()) == 40
    assert axes.get_ylabel() == "agent (first 40 of 50)"


def test_the_cdf_passes_through_the_percentiles() -> None:
    records = [record(index, "a", "m", 0.0, (float(index), 0.0, 1.0)) for index in range(1, 101)]
    lines = {
        str(line.get_label()): np.asarray(line.get_xydata()).tolist()
        for line in latency_cdf(records).axes[0].get_lines()
    }
    queueing = lines["queueing"]
    for percent in (50, 95, 99):
        reached = min(x for x, y in queueing if y >= percent / 100 - 1e-9)
        assert reached == percentile([r.queued_seconds for r in records], percent)


def test_the_queue_is_as_long_as_it_was() -> None:
    axes = queue_length(RECORDS, makespan=20.0).axes[0]
    tops = {}
    for area in axes.collections:
        assert isinstance(area, PolyCollection)
        tops[area.get_label()] = max(y for path in area.get_paths() for _, y in np.asarray(path.vertices).tolist())
    assert tops == {"m": 1, "n": 2}  # stacked: from 2 to 6 s one of each waits
    assert axes.get_xlim() == (0, 20)


FAILED_AT_ONCE = record(0, "a", "m", 0.0, (0.0, 0.0, 0.0))._replace(ttft=None, outcome="AdapterInstantiationError")


@pytest.mark.parametrize("records", [(FAILED_AT_ONCE,), RECORDS[:1], RECORDS])
def test_every_picture_can_be_opened(tmp_path: Path, records: tuple[CallRecord, ...]) -> None:
    makespan = max(record.finished for record in records)
    for picture in draw_all(tmp_path, records, [i for i in INTERVALS if i.end <= makespan], makespan):
        ElementTree.fromstring(picture.svg)
        with Image.open(tmp_path / picture.png) as image:
            image.load()
            assert image.width > 500


def test_a_long_replay_has_a_picture_of_its_beginning(tmp_path: Path) -> None:
    records = [record(index, "a", "m", float(index), (0.0, 0.0, 1.0)) for index in range(301)]
    assert "gantt_beginning.png" in {picture.png for picture in draw_all(tmp_path, records, (), 301.0)}


class Page(HTMLParser):
    """The links and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links |= {value for name, value in attrs if name in ("href", "src") and value}

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_the_report(tmp_path: Path) -> None:
    async with ProviderManager(ProviderManagerConfig([])) as manager:
        replay = Replay(RECORDS, INTERVALS, manager.statistics())
    workload = Workload("a <b> workload", (PlannedCall(0, "ann", "m", 10, 5),))
    summary = summarise(RECORDS, INTERVALS, switches=1)
    origin = Origin("python -m simulation replay --seed 1", {"seed": "1 & only"}, ("We assume <nothing>.",))
    page = write_report(tmp_path / "new" / "report", workload, replay, summary, origin)

    folder = page.parent
    assert [json.loads(line)["call"] for line in (folder / "requests.jsonl").read_text().splitlines()] == [0, 1, 2, 3]
    numbers = json.loads((folder / "summary.json").read_text())
    assert numbers["summary"]["makespan"] == 20
    assert numbers["summary"]["queueing"] == {"p50": 0, "p95": 13, "p99": 13}
    assert numbers["settings"] == {"seed": "1 & only"}

    read = Page(page.read_text())
    assert read.links == {file.name for file in folder.iterdir()} - {"index.html"}
    for text in (
        "a <b> workload",
        "1 & only",
        "We assume <nothing>.",
        "--seed 1",
        "with 1 switches of the model",
    ):
        assert text in read.text


async def test_a_report_replaces_the_one_before(tmp_path: Path) -> None:
    async with ProviderManager(ProviderManagerConfig([])) as manager:
        statistics = manager.statistics()
    origin = Origin("command", {}, ())
    workload = Workload("w", ())
    write_report(tmp_path, workload, Replay(RECORDS, INTERVALS, statistics), summarise(RECORDS, INTERVALS, 1), origin)
    write_report(tmp_path, workload, Replay(RECORDS[:1], (), statistics), summarise(RECORDS[:1], (), 0), origin)
    assert len((tmp_path / "requests.jsonl").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "summary.json").read_text())["summary"]["requests"] == 1
