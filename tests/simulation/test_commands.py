"""The door of ``python -m simulation``: help, errors, interrupts and exit statuses, the same for every command."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.__main__ import COMMANDS, main

BARE = "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'hypercorn', 'tqdm'])); from simulation.__main__ import main; "


def python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)


def test_help_imports_no_command_and_names_them_all() -> None:
    loaded = "print(*{'matplotlib', 'trio', 'httpx', 'hypercorn', 'statemachine'} & sys.modules.keys())"
    result = python(f"import sys; from simulation.__main__ import main; main(['--help']); {loaded}")
    lines = result.stdout.splitlines()
    assert lines[-1] == ""
    assert all(any(line.split()[:1] == [name] for line in lines) for name in COMMANDS)


def test_without_a_command_help_is_shown_and_the_status_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: ")


def test_n03_help_of_every_command_needs_no_extra() -> None:
    words = [[name, "--help"] for name in COMMANDS]
    script = f"""
{BARE}
for words in {words!r}:
    try:
        main(words)
    except SystemExit as stop:
        assert stop.code == 0
    else:
        raise AssertionError(words)
"""
    result = python(script)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("usage: ") == len(COMMANDS)


@pytest.mark.parametrize(("words", "missing"), [(["replay"], "matplotlib"), (["serve", "--port", "0"], "hypercorn")])
def test_n03_a_missing_extra_is_named_before_any_work(words: list[str], missing: str, tmp_path: Path) -> None:
    result = python(f"import os; os.chdir({str(tmp_path)!r}); {BARE} sys.exit(main({words!r}))")
    assert result.returncode == 2
    assert result.stderr == (
        f"error: {missing} is not installed; install the extra: pip install 'llm-slot-manager[simulation]'\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "'nosuch' is no command"),
        (["replay", "--nosuch"], "--nosuch"),
        (["replay", "--seed"], "--seed"),
        (["replay", "--seed", "x"], "seed: must be an integer; got 'x'"),
        (["replay", "--seed", "9" * 5000], "seed: must be an integer"),
        (["replay", "--speed", "x"], "speed: must be a number; got 'x'"),
        (["replay", "--requests", "99999999999999999999"], "requests: must be an integer from 1 to 10,000,000"),
        (["replay", "--tickers", "999999999999"], "tickers: must be an integer from 1 to 100,000"),
        (["replay", "--max-think", "inf"], "--max-think: must be a finite number of at least 0"),
        (["replay", "--map", "\x1b[31m\n\ud800"], "\\x1b[31m\\n\\ud800"),
        (["\x1b[31m"], "\\x1b[31m"),
        (["replay", "\x1b[31m\nforged"], "\\x1b[31m\\nforged"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert len(err) < 700
    assert err.rstrip("\n").isprintable()


def test_the_default_policy_is_that_of_the_product(tmp_path: Path) -> None:
    assert main(["replay", "--tickers", "1", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["settings"]["policy"] == "gated"


def test_an_interrupt_is_one_line_and_leaves_no_workers(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    request = {"type": "n", "model": "m", "in": 100, "out": 20_000, "hash_ids": [], "think_time": 1}
    for number in range(32):
        requests = [request | {"t": t} for t in range(8)]
        (sessions / f"{number}.json").write_text(
            json.dumps({"id": f"s{number}", "block_size": 64, "requests": requests})
        )
    script = "import signal, sys; signal.signal(2, signal.default_int_handler); from simulation.__main__ import main; sys.exit(main())"
    arguments = shlex.split(f"study --trace {sessions} --jobs 2 --out {tmp_path / 'out'}")
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()  # the first tenth is done, so the workers are at work
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
        rest = process.stderr.read()  # ends when no process has it open, workers included
        assert process.wait(timeout=20) == 130
    assert "%" in line
    assert [each for each in rest.splitlines() if "%" not in each] == ["interrupted"]
