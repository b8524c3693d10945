"""The command line, against the mock LM Studio on a socket."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from adapters.__main__ import main
from simulation.mock.lmstudio import MockLMStudio

from .lmstudio import A, B, fast, ids, on_a_socket

Run = tuple[MockLMStudio, str]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def served() -> Iterator[Run]:
    server = fast()
    with on_a_socket(server) as url:
        yield server, url


def _rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def test_models_are_loaded_switched_and_unloaded(served: Run, capsys: pytest.CaptureFixture[str]) -> None:
    server, url = served
    assert main(["load", A, "--base-url", url]) == 0
    assert ids(server) == [A], "it stays loaded when the command has ended"
    assert "loading" in capsys.readouterr().err
    (row,) = _rows(capsys, "switch", B, "--base-url", url)
    assert (row["unloaded"], ids(server)) == (A, [B])
    states = {row["model"]: row["state"] for row in _rows(capsys, "models", "--base-url", url)}
    assert states[B] == "loaded"
    assert states[A] == "-"
    (status,) = _rows(capsys, "status", "--provider", "lmstudio", "--base-url", url)
    assert status["in memory"] == B
    assert main(["unload", A, "--base-url", url]) == 2
    assert "is not loaded" in capsys.readouterr().err
    assert main(["unload", "--all", "--base-url", url]) == 0
    assert ids(server) == []
    assert _rows(capsys, "unload", "--all", "--base-url", url) == []


def test_a_chat_is_printed_as_it_comes(served: Run, capsys: pytest.CaptureFixture[str]) -> None:
    server, url = served
    assert main(["chat", A, "hello", "--base-url", url, "--max-tokens", "4"]) == 0
    text = capsys.readouterr().out
    assert len(text.split()) == 4
    assert ids(server) == []
    assert main(["chat", A, "hello", "--base-url", url, "--max-tokens", "4", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["text"].strip(), answer["finish_reason"]) == (text.strip(), "length")


def test_metrics_add_up(served: Run, capsys: pytest.CaptureFixture[str]) -> None:
    _, url = served
    rows = _rows(capsys, "metrics", A, B, "--rounds", "2", "--base-url", url)
    attempts = {row["what"]: row["attempts"] for row in rows}
    assert attempts == {"load": 4, "unload": 4, "switch": 3}


def test_a_table(served: Run, capsys: pytest.CaptureFixture[str]) -> None:
    _, url = served
    assert main(["models", "--base-url", url]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["MODEL", "STATE", "INSTANCE"]
    assert [line.split()[0] for line in lines] == sorted([A, B, "maker/model-c"])


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["status", "--provider", "lmstudio", "--base-url", NOWHERE], 1, "lmstudio"),
        (["models", "--base-url", NOWHERE], 1, "error:"),
        (["load", A, "--base-url", NOWHERE], 1, "error:"),
        (["chat", A, "hello", "--base-url", NOWHERE], 1, "error:"),
        (["load", A, "--base-url", "not a URL"], 2, "base_url"),
        (["metrics", A, "--provider", "ollama"], 2, "must be lmstudio"),
    ],
)
def test_exit_codes(arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_a_model_that_is_not_there_is_refused(served: Run, capsys: pytest.CaptureFixture[str]) -> None:
    _, url = served
    assert main(["load", "no/such-model", "--base-url", url]) == 2
    assert main(["chat", "no/such-model", "hello", "--base-url", url]) == 2
    assert "no/such-model" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["load"], ["unload"], ["load", A, "--provider", "openai"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize(
    "words", [["models", "--base-url"], ["chat", A, "hello", "--base-url"], ["status", "--watch", "--url"]]
)
def test_ctrl_c_is_one_line(words: list[str]) -> None:
    """While it waits for a server that has accepted the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "adapters", *words, url],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30) == ("", "interrupted\n")
    assert process.returncode == 130
