"""The gateway as a process: it says where it listens, drains on SIGTERM, unloads what it loaded, and its journal conforms."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from adapters.__main__ import main
from adapters.gateway.running import client_environment
from simulation.mock.lmstudio.server import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile
from statemachine.journal.verify import verify

from .served import GEMMA, MODELS


async def first_line(process: trio.Process) -> str:
    """Return what follows "listening on"."""
    assert process.stdout is not None
    said = b""
    while b"listening on " not in said or not said.endswith(b"\n"):
        piece = await process.stdout.receive_some()
        assert piece, said
        said += piece
    return said.decode().partition("listening on ")[2].strip()


async def test_a_process_serves_drains_and_leaves_a_journal_that_conforms(tmp_path: Path) -> None:
    server = MockLMStudio(MODELS, LatencyProfile(jitter=0))
    settings, log = tmp_path / "gateway.toml", tmp_path / "journal.jsonl"
    async with serve(server, port=0) as base_url, trio.open_nursery() as nursery:
        settings.write_text(f'[gateway]\nport = 0\n[providers.studio]\nkind = "lmstudio"\nbase_url = "{base_url}"\n')
        command = [sys.executable, "-m", "adapters", "serve", "--config", str(settings), "--log", str(log)]
        process = await nursery.start(partial(trio.run_process, command, stdout=subprocess.PIPE))
        url = await first_line(process)
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            body = {"model": GEMMA, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
            assert (await client.get("/status")).json()["slots"]["local"]["model"] == GEMMA
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        async with httpx.AsyncClient(base_url=base_url) as client:
            rows = (await client.get("/api/v1/models")).json()["models"]
        assert not [row for row in rows if row["loaded_instances"]], "what it loaded is unloaded"
    assert verify([log]).conforms
    assert main(["verify", str(log)]) == 0


def test_verify_tells_a_changed_journal_and_what_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("no journal\n")
    assert main(["verify", str(path)]) == 2
    assert main(["verify", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("error:") == 2


def test_run_sets_what_the_official_clients_read() -> None:
    variables = client_environment("http://127.0.0.1:8400/", "ann lee", None)
    assert variables["OPENAI_BASE_URL"] == "http://127.0.0.1:8400/agent/ann%20lee/v1"
    assert variables["OPENAI_CUSTOM_HEADERS"] == "X-Agent-ID: ann lee"
    assert variables["LLM_SLOTS_GATEWAY"] == "http://127.0.0.1:8400/agent/ann%20lee"
    assert variables["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8400/agent/ann%20lee"


def test_run_starts_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    command = [sys.executable, "-m", "adapters", "run", "--agent", "ann", "--", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["OPENAI_BASE_URL"].endswith("/agent/ann/v1")


def test_a_gateway_that_is_waited_for_in_vain_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--url", "http://127.0.0.1:9", "--wait", "0.1", "--", "true"]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_program_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--", "no-such-program-here"]) == 2
    assert "no-such-program-here" in capsys.readouterr().err


def test_a_gateway_that_does_not_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--url", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith("error:")
