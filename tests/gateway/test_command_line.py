"""The command ``llm-slots``: one table, quick help, errors in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import adapters.__main__ as command_line
from adapters.__main__ import COMMANDS, Entry, main
from simulation.__main__ import COMMANDS as SIMULATION


def status_of(*words: str) -> int:
    """The exit status, also where argparse ends the process."""
    try:
        return main(words)
    except SystemExit as ending:
        return int(ending.code or 0)


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*words) == (0 if words else 2)
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == list(COMMANDS)


def test_help_loads_no_library() -> None:
    code = "import sys; from adapters.__main__ import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"trio", "httpx", "statemachine", "simulation", "argparse", "dataclasses"} & set(done.stdout.split())


def test_every_command_of_the_simulator_is_there() -> None:
    modules = {entry.module for entry in COMMANDS.values()}
    assert modules >= {f"simulation.commands.{name}" for name in SIMULATION}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_tells_what_is_wrong_in_one_line(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(name, "--help") == 0
    assert "usage:" in capsys.readouterr().out
    assert status_of(name, "--no-such-option") == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1


def test_what_is_no_command_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("nosuch") == 2
    assert capsys.readouterr().err == "error: 'nosuch' is no command; see llm-slots --help\n"


def test_a_missing_library_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(command_line, "COMMANDS", {"new": Entry("", "needs_more", "gateway")})
    assert status_of("new") == 2
    assert "install the extra: pip install 'llm-slot-manager[gateway]'" in capsys.readouterr().err


def test_the_installed_script_finds_what_lies_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from adapters import FakeAdapter as factory\n")
    script = Path(sys.executable).with_name("llm-slots")
    arguments = [str(script), "conformance", "mine:factory", "--rule", "no-such-rule"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no-such-rule" in done.stderr, "the module was found"


def test_output_that_is_not_read_is_no_error() -> None:
    command = f"{sys.executable} -m adapters errors | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) in ((0, ""), (1, ""))
