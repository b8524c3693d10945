"""The pytest plugin and the class to subclass, in a pytest of their own in an empty folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = "adapters.pytest_plugin"


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )


def _pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _python(folder, "-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:cacheprovider", *arguments)


def test_every_rule_is_a_test_without_a_file(tmp_path: Path) -> None:
    declared = ["--conformance-declare", "deterministic_clock", "--conformance-declare", "needs_start"]
    done = _pytest(tmp_path, "--conformance", "adapters:FakeAdapter", *declared)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_a_broken_rule_is_a_failing_test_with_its_program(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from statemachine import StreamEvent\n"
        "class Mine:\n"
        "    def __init__(self, config): pass\n"
        "    async def call(self, prompt, options):\n"
        "        yield StreamEvent('token', 'hello')\n"
    )
    done = _pytest(tmp_path, "--conformance", "mine:Mine", "--conformance-declare", "deterministic_clock")
    assert done.returncode == 1
    assert "FAILED conformance::stream-order" in done.stdout
    assert "replay(Mine, program, 'stream-order'" in done.stdout
    (tmp_path / "known").write_text("stream-order  # it has no end yet\nmanager-properties\n")
    expected = ["--conformance-expected-failures", "known", "-k", "stream-order"]
    assert _pytest(tmp_path, "--conformance", "mine:Mine", *expected).returncode == 0


def test_a_wrong_target_is_wrong_usage(tmp_path: Path) -> None:
    done = _pytest(tmp_path, "--conformance", "nothing:Nothing")
    assert done.returncode == 4
    assert "must be importable" in done.stderr


def test_a_subclass_collects_every_rule(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from adapters import FakeAdapter\n"
        "from adapters.conformance import AdapterConformance\n"
        "class TestFake(AdapterConformance):\n"
        "    subject = FakeAdapter\n"
        "    how = {'capabilities': {'deterministic_clock': True, 'needs_start': True}, 'examples': 5}\n"
    )
    done = _pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_without_the_option_nothing_is_imported(tmp_path: Path) -> None:
    heavy = ["trio", "httpx", "hypothesis", "transitions", "statemachine", "adapters.conformance"]
    code = f"import sys, {PLUGIN}; print([name for name in {heavy!r} if name in sys.modules])"
    assert _python(tmp_path, "-c", code).stdout == "[]\n"
    (tmp_path / "test_nothing.py").write_text(
        "import sys\ndef test_nothing() -> None:\n    assert 'adapters.conformance' not in sys.modules\n"
    )
    assert _pytest(tmp_path).returncode == 0


def test_where_pytest_rewrites_the_modules_as_those_of_an_installed_plugin(tmp_path: Path) -> None:
    names = ", ".join(repr(name) for name in ("statemachine", "adapters", "simulation"))
    (tmp_path / "conftest.py").write_text(f"import pytest\npytest.register_assert_rewrite({names})\n")
    (tmp_path / "test_it.py").write_text(
        "from simulation.workloads.traces import formats\n"
        "from statemachine.policies.names import NAMES\n"
        "from statemachine.properties import ALWAYS\n\n\n"
        "def test_it() -> None:\n"
        "    assert formats and NAMES and ALWAYS\n"
    )
    done = _python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
