"""``python -m benchmarks`` shares the shell of all commands."""

from __future__ import annotations

import pytest

from statemachine.shell.command import run_command


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "what: must be one of core, overhead"),
        (["core", "--rounds", "0"], "--rounds: must be an integer from 1 to 1,000"),
        ([], "what"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("python -m benchmarks", "benchmarks.command", "", words) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1
