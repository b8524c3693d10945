"""N8: ``python -m statemachine`` tells what is wrong in one line and exit code 2, and ends at once when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from statemachine.__main__ import main

from .telling import PIPE, Telling

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jobs", "0"], "--jobs: must be an integer from 1 to 1,024"),
        (["--jobs", "-3"], "--jobs: must be"),
        (["--jobs", "many"], "--jobs: must be"),
        (["--most-states", "-5"], "--most-states: must be"),
        (["--most-states", "0"], "--most-states: must be"),
        (["--most-memory", "0"], "--most-memory: must be"),
        (["--coordinator", "nosuch:X"], "cannot be imported"),
        (["--coordinator", "statemachine:nosuch"], "cannot be imported"),
        (["--coordinator", ""], "cannot be imported"),
        (["--coordinator", "statemachine:Gated"], "must be a subclass of"),
        (["--coordinator", "statemachine.checks:check_name"], "must be a subclass of"),
        (["--scenario", "nosuch"], "--scenario: must be one of"),
        (["--nosuch"], "there is no '--nosuch'"),
        (["nosuch=secret"], "'nosuch' has no option before it"),
    ],
)
def test_n08_bad_input_is_one_line_and_exit_code_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_n08_what_was_never_reached_is_told_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--scenario", "api-raise"]) == 0
    assert "never:" not in capsys.readouterr().out
    assert main(["check", "--scenario", "api-raise", "--verbose"]) == 0
    assert "never:" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", [1, 2])
def test_n08_ctrl_c_is_one_line_and_its_workers_end_at_once(jobs: int, tmp_path: Path) -> None:
    """As a terminal does it: the signal goes to the whole group of processes, in the middle of searches that take minutes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)  # both ways, so that neither side waits for the other
    coordinator = f"{Telling.__module__}:{Telling.__name__}"
    command = [
        sys.executable,
        "-m",
        "statemachine",
        "check",
        "--large",
        "--jobs",
        str(jobs),
        "--coordinator",
        coordinator,
    ]
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, PIPE: str(pipe)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    for _ in range(jobs):
        assert os.read(reader, 1)
    os.close(reader)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=30)  # to the end of its pipes, which its workers hold, too
    assert process.returncode == 130
    assert (error, out) == ("interrupted\n", "")
    assert time.monotonic() - began < 5


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it


class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)


sys.meta_path.insert(0, Interrupting())
from {package}.__main__ import main
sys.exit(main({words!r}))
"""


@pytest.mark.parametrize(
    ("package", "words", "module"),
    [
        ("adapters", ["check"], "trio"),
        ("simulation", ["replay"], "trio"),
        ("simulation", ["replay"], "simulation.commands.replay"),
        ("statemachine", ["check"], "statemachine.checking"),
    ],
)
def test_n08_ctrl_c_while_a_command_is_imported_is_one_line(package: str, words: list[str], module: str) -> None:
    script = INTERRUPTED.format(package=package, words=words, module=module)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (130, "interrupted\n", "")


@pytest.mark.parametrize("words", [["diagram"], ["check", "--jobs", "0"], ["nosuch"]])
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_n08_standard_files_that_are_closed_are_no_error(words: list[str], closed: tuple[int, ...]) -> None:
    usual = subprocess.run([sys.executable, "-m", "statemachine", *words], cwd=ROOT, capture_output=True, text=True)
    script = "exec " + " ".join(f"{number}>&-" for number in closed) + '; exec "$@"'
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "statemachine", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == usual.returncode
    assert done.stdout == ("" if 1 in closed else usual.stdout)
    assert done.stderr == ("" if 2 in closed else usual.stderr)
