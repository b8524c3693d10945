"""What CONTRIBUTING says of a new policy, property and trace reader is all that it takes: one new file, and one line elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import test_floors

ROOT = Path(__file__).parents[1]
STEP = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?\n)```", re.S | re.M)
STEPS = STEP.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project with the steps taken."""
    for top in ("statemachine", "simulation", "adapters", "benchmarks"):
        shutil.copytree(ROOT / top, tmp_path / top, ignore=shutil.ignore_patterns("__pycache__", "results", "*.png"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, code in STEPS:
        path = tmp_path / name
        if path.name == "table.py":
            _add_row(path, code)
        else:
            assert not path.exists()
            path.write_text(code, encoding="utf-8")
    return tmp_path


def _add_row(table: Path, row: str) -> None:
    text = table.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines(keepends=True) if line.startswith("from . import ")]
    table.write_text(text.replace("".join(rows), "".join(sorted([*rows, row]))), encoding="utf-8")


def _run(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], cwd=copy, capture_output=True, text=True, timeout=110)


def test_each_addition_is_a_new_file_and_one_line() -> None:
    new, rows = STEPS[::2], STEPS[1::2]
    assert len(new) == len(rows) == 3
    for (file, _), (table, row) in zip(new, rows, strict=True):
        assert Path(table) == Path(file).with_name("table.py")
        assert row.count("\n") == 1


def test_what_is_added_works(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy is run on a file that the trace reader reads, and the checker evaluates the property."""
    (copy / "trace.csv").write_text("Seconds,Prompt,Answer\n0,100,20\n0.5,200,10\n2,300,30\n", encoding="utf-8")
    converted = _run(copy, "simulation", "convert", "--trace", "trace.csv", "--out", "trace.jsonl")
    assert converted.returncode == 0, converted.stderr
    assert (copy / "trace.jsonl").read_text(encoding="utf-8").count('"prompt_tokens": 200') == 1

    compared = _run(copy, "simulation", "compare", "--trace", "trace.csv", "--policies", "newest", "--load-time", "4")
    assert compared.returncode == 0, compared.stderr
    assert re.search(r"^newest\b", compared.stdout, re.M), compared.stdout

    checked = _run(copy, "statemachine", "check", "--scenario", "slot-raise", "--json")
    assert json.loads(checked.stdout)["slot-raise"]["verdicts"]["waiting_requests_are_requests"] == "PASS"
    queues = copy / "statemachine/properties/queues.py"
    queues.write_text(queues.read_text(encoding="utf-8").replace("<= len", "< len"), encoding="utf-8")
    assert _run(copy, "statemachine", "check", "--scenario", "slot-raise").returncode == 1, "now it is false"


def test_what_is_added_has_its_floor_and_its_form(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_floors, "ROOT", copy)
    for package in ("statemachine/policies", "statemachine/properties", "statemachine", "simulation"):
        test_floors.test_files_import_only_from_floors_below(package)
    linted = _run(copy, "ruff", "check", "--quiet", *(name for name, _ in STEPS))
    assert linted.returncode == 0, linted.stdout
    formed = _run(copy, "ruff", "format", "--check", *(name for name, _ in STEPS))
    assert formed.returncode == 0, formed.stdout
