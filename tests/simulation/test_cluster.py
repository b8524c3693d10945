"""A sweep on a Dask cluster of two worker processes, one of which is killed: the same results, none lost (``make cluster``)."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulation.__main__ import main

AXES = [
    "--policies",
    "fifo,gated,cost_aware",
    "--load-time",
    "2,8",
    "--agents",
    "4,8",
    "--slots",
    "1,2",
    "--seeds",
    "3",
]
WORDS = ["sweep", "--workload", "closed", "--tickers", "10", *AXES]
POINTS = 3 * 2 * 2 * 2

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="the extra 'cluster' is not installed (make cluster)"
)


@contextmanager
def processes(*commands: list[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Programs that run during the block, and are killed at its end."""
    running = [
        subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for words in commands
    ]
    try:
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


def until(process: subprocess.Popen[str], *words: str) -> str:
    """Read what the process says up to a line with one of ``words``."""
    assert process.stderr is not None
    for line in process.stderr:
        if any(word in line for word in words):
            return line
    raise AssertionError(f"it ended without {words}")


def rows(folder: Path) -> list[str]:
    lines = (folder / "sweep.jsonl").read_text().splitlines()
    return sorted(json.dumps(json.loads(line), sort_keys=True) for line in lines[1:])


@needs_dask
@pytest.mark.timeout(300)
def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    quiet = ["--no-dashboard", "--port", "0", "--host", "127.0.0.1"]
    with processes(["distributed.cli.dask_scheduler", *quiet]) as (scheduler,):
        address = until(scheduler, "Scheduler at:").split()[-1]
        worker = ["distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
        sweep = ["simulation", *WORDS, "--scheduler", address, "--out", str(tmp_path / "cluster")]
        with processes(worker, worker) as workers:
            for each in workers:
                until(each, "Registered to:")
            with processes(sweep) as (sweeping,):
                until(sweeping, "%")  # a tenth is done, so both workers are at work
                workers[0].kill()
                assert workers[0].wait(timeout=60) == -9
                until(sweeping, "100 %")
                assert sweeping.wait(timeout=120) == 0
    assert main([*WORDS, "--jobs", "1", "--out", str(tmp_path / "here")]) == 0
    assert len(rows(tmp_path / "here")) == 3 * POINTS
    assert rows(tmp_path / "cluster") == rows(tmp_path / "here")


@needs_dask
def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--scheduler", "tcp://127.0.0.1:9", "--out", str(tmp_path)]) == 2
    assert "scheduler: must be the address of a Dask scheduler that answers" in capsys.readouterr().err


def test_without_dask_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*WORDS, "--scheduler", "tcp://127.0.0.1:9", "--out", str(tmp_path)]) == 2
    assert "pip install 'llm-slot-manager[cluster]'" in capsys.readouterr().err
