"""Programs that were not written here, at once, on one server with two models: none is changed, and no request is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import trio

from statemachine.journal.verify import verify
from statemachine.journal.writer import Journal

from .programs import PROGRAMS
from .served import GEMMA, QWEN, served

ROUNDS = 3

pytestmark = pytest.mark.timeout(240)  # the imports of the frameworks take long on a busy machine


async def run_together(url: str, models: tuple[str, str], names: Iterable[str] = PROGRAMS) -> list[str]:
    """Run every program at once through the gateway at ``url``, each asking both models in turn; return the answers."""
    answers: list[str] = []

    async def run(name: str, order: tuple[str, ...]) -> None:
        llm_slots = [sys.executable, "-m", "adapters", "run", "--url", url, "--agent", name, "--"]
        program = [sys.executable, "-m", "tests.gateway.programs", name, *order * ROUNDS]
        done = await trio.run_process([*llm_slots, *program], capture_stdout=True, stdin=subprocess.DEVNULL)
        answers.extend(done.stdout.decode().splitlines())

    async with trio.open_nursery() as nursery:
        for number, name in enumerate(names):
            nursery.start_soon(run, name, models if number % 2 else models[::-1])
    return answers


async def test_programs_of_others_share_one_server(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        async with served(journal=journal) as here:
            answers = await run_together(here.url, (GEMMA, QWEN))
            assert {row.agent for row in here.gateway.agents} == set(PROGRAMS)
        told = here.server.counters
    assert len(answers) == told.answered == 2 * ROUNDS * len(PROGRAMS)
    assert "''" not in answers
    assert (told.peak_resident, told.cut, told.abandoned) == (1, 0, 0), "the server's own account"
    assert told.loads == told.unloads
    verdict = verify([path])
    assert verdict.conforms, verdict.problem
