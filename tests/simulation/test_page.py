"""The page as a browser shows it: nothing from outside, readable on narrow screens, small even for long runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import trio

from simulation.__main__ import main
from simulation.analysis.advice import Prices, Target, advised
from simulation.analysis.fidelity import COMPARED, PARTS, Fidelity, Foretold
from simulation.analysis.sweeping import MEASURES, PointResult, estimates, grid
from simulation.drivers.record import CallRecord
from simulation.drivers.residency import Interval
from simulation.report.advice_report import write_advice
from simulation.report.fidelity_report import write_fidelity
from simulation.report.page import Origin, Table, write_page
from simulation.report.replay_plots import draw_all
from simulation.report.sweep_report import best_sentences, write_sweep

from ..gateway.browser import CHROMIUM, browser, page

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert main(["compare", "--tickers", "2", "--policies", "fifo,gated", "--out", str(folder)]) == 0
    return folder


def test_n11_everything_is_inside_the_page(report: Path) -> None:
    text = (report / "index.html").read_text()
    assert text.count("<svg") >= 5
    assert not re.search(r"""(src|href)=["'](https?:|//)|@import|url\((?!#)""", text)
    assert "<img" not in text
    assert "currentColor" in text


def test_a_picture_lies_beside_the_page_for_each_figure(report: Path) -> None:
    text = (report / "index.html").read_text()
    assert len(list(report.glob("*.png"))) == text.count("<figure>")


def points(count: int) -> list[PointResult]:
    """Made-up results of a sweep, ``count`` points of two seeds each."""
    load_times, sessions = [float(n) for n in range(1, count // 20 + 1)], [4, 8, 12, 16, 20]
    found = grid(["fifo", "gated"], load_times, sessions, [1, 4])
    return [
        PointResult(point, seed, dict.fromkeys(MEASURES, 10.0 * number + seed))
        for number, point in enumerate(found, 1)
        for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def pages(report: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("sweep", "advise", "fidelity")}
    origin = Origin("python -m simulation sweep " + "--a-long-option value " * 20, {"seed": "0"}, ("Nothing.",))
    results = points(200)
    target = [Target("p95", 500.0)], Prices(1000.0, 10.0)
    chosen, sentences = advised(estimates(results), *target)
    values = dict.fromkeys((*COMPARED, *PARTS), 12.0)
    found = Fidelity([Foretold(name, values, [values, {**values, "mean": 13.0}]) for name in ("fifo", "gated")])
    return {
        "compare": report / "index.html",
        "sweep": write_sweep(folders["sweep"], results, best_sentences(results), origin),
        "advise": write_advice(folders["advise"], results, chosen, target, sentences, origin),
        "fidelity": write_fidelity(folders["fidelity"], found, ["small: prefill 400 tokens/s"], origin),
    }


@needs_browser
@pytest.mark.timeout(300)  # seconds of processor time, which a busy machine takes minutes for
async def test_n11_a_browser_shows_it_light_and_dark_wide_and_narrow(pages: dict[str, Path], tmp_path: Path) -> None:
    """``PAGE_SCREENSHOTS=folder`` keeps what was seen."""
    folder = Path(os.environ.get("PAGE_SCREENSHOTS", tmp_path))
    async with browser(tmp_path) as chromium:
        for name, path in pages.items():
            for width in (1280, 400):
                for scheme in ("light", "dark"):
                    async with page(chromium, path.as_uri(), width=width, scheme=scheme) as seen:
                        await seen.until("document.readyState === 'complete'")
                        picture = await seen.screenshot()
                        await trio.Path(folder / f"{name}-{width}-{scheme}.png").write_bytes(picture)
                        assert await seen.value("innerWidth") == width
                        assert await seen.value("document.documentElement.scrollWidth") <= width, name
                        assert await seen.value(TOO_WIDE) == [], name
                        assert (await seen.value(BRIGHTNESS) < 60) == (scheme == "dark")
                        assert await seen.value(CONTRAST) > 4.5, "WCAG 2, level AA"
                        assert seen.complaints() == []


TOO_WIDE = (
    "[...document.querySelectorAll('p, h1, h2, li, pre, figcaption')]"
    ".filter(e => e.scrollWidth > e.clientWidth).map(e => e.outerHTML)"
)
COLOURS = "(name => getComputedStyle(document.body)[name].match(/[0-9]+/g).slice(0, 3).map(Number))"
BRIGHTNESS = f"{COLOURS}('backgroundColor').reduce((a, b) => a + b) / 3"
CONTRAST = f"""(() => {{
    const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const luminance = c => c.map(v => linear(v / 255)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const [light, dark] = ['color', 'backgroundColor'].map(name => luminance({COLOURS}(name))).sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
}})()"""


def test_a_sweep_of_200_points_is_a_page_with_a_question(pages: dict[str, Path]) -> None:
    text = pages["sweep"].read_text()
    assert "The policy with the least p95 latency, in 100 settings: fifo in 100 (clearly in 100)." in text
    assert text.count("<figure>") == 2
    assert pages["sweep"].stat().st_size < 1_000_000


@pytest.mark.timeout(300)  # seconds of processor time, which a busy machine takes minutes for
def test_a_long_run_stays_below_five_megabytes(tmp_path: Path) -> None:
    records = [
        CallRecord(
            n,
            f"agent {n % 30}",
            f"m{n // 7 % 2}",
            10,
            5,
            float(n),
            0.4 * (n % 5),
            0.1 * (n % 2),
            1.0,
            2.0 + n % 9,
            "ok",
        )
        for n in range(100_000)
    ]
    intervals = [Interval(f"m{n % 2}", "busy", 7.0 * n, 7.0 * n + 6.0) for n in range(14_000)]
    pictures = draw_all(tmp_path, records, intervals, 100_010.0)
    page = write_page(
        tmp_path,
        title="long",
        findings=["It was long."],
        introduction="x",
        tables=[Table("t", ["a"], [["1"]])],
        pictures=pictures,
        method="m",
        origin=Origin("c", {}, ()),
        data=(),
    )
    assert page.stat().st_size < 5_000_000
    assert "bars are drawn as an image" in page.read_text()
