"""The page as a browser shows it: nothing from outside, readable on narrow screens, small even for long runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from simulation.__main__ import main
from simulation.drivers.record import CallRecord
from simulation.drivers.residency import Interval
from simulation.report.page import Origin, Table, write_page
from simulation.report.replay_plots import draw_all

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def browse(*arguments: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout


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


@needs_browser
@pytest.mark.parametrize("width", [1280, 500])  # 500 is the narrowest that a window of Chromium's gets
@pytest.mark.parametrize("dark", [False, True])
def test_n11_a_browser_shows_it_light_and_dark_wide_and_narrow(
    report: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    picture = tmp_path / "page.png"
    colours = ["--blink-settings=preferredColorScheme=0"] if dark else []
    page = (report / "index.html").as_uri()
    browse(f"--window-size={width},1200", *colours, f"--screenshot={picture}", page)
    with Image.open(picture) as image:
        grey = image.convert("L")
        background = grey.getpixel((2, 2))
        assert background is not None
        assert (background < 60) == dark  # type: ignore[operator]  # one number, of an image in grey
        histogram = grey.histogram()
        assert sum(histogram[200:]) > 2000 if dark else sum(histogram[:60]) > 2000, "text can be told from the page"


@needs_browser
def test_the_page_itself_never_scrolls_sideways(report: Path, tmp_path: Path) -> None:
    measuring = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    page = tmp_path / "page.html"
    page.write_text((report / "index.html").read_text().replace("</body>", measuring))
    found = re.search(r"<title>(\d+) of (\d+)</title>", browse("--window-size=500,900", "--dump-dom", page.as_uri()))
    assert found is not None
    assert int(found[1]) <= int(found[2])


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
        for n in range(25_000)
    ]
    intervals = [Interval(f"m{n % 2}", "busy", 7.0 * n, 7.0 * n + 6.0) for n in range(3_500)]
    pictures = draw_all(tmp_path, records, intervals, 25_010.0)
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
