"""The gateway before a real llama.cpp server: programs of others at once on two models, and the server's own log as the judge."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from adapters.gateway.serve import listening, open_gateway
from adapters.gateway.settings import settings_of
from statemachine.journal.verify import verify
from statemachine.journal.writer import Journal

from ..gateway.programs import PROGRAMS
from ..gateway.test_together import ROUNDS, run_together
from .conftest import only_tiny
from .llama_server import LlamaServer

pytestmark = pytest.mark.timeout(240)


@only_tiny
async def test_programs_of_others_share_one_server(server: LlamaServer, tmp_path: Path) -> None:
    before, path = len(server.loads()), tmp_path / "journal.jsonl"
    providers = {"llama": {"kind": "llamacpp", "base_url": server.url}}
    with Journal(path) as journal:
        settings = settings_of({"gateway": {"port": 0}, "providers": providers}, {})
        async with open_gateway(settings, journal=journal) as gateway, listening(gateway) as url:
            answers = await run_together(url, ("model-a", "model-b"))
            counters = gateway.manager.statistics().counters
    assert len(answers) == 2 * ROUNDS * len(PROGRAMS)
    loads = server.loads()[before:]
    assert len(loads) == counters.starts, "the server loads when the gateway asks it to, and at no other time"
    assert all(one != other for one, other in pairwise(loads)), "no model is loaded twice"
    assert server.resident() == []
    verdict = verify([path])
    assert verdict.conforms, verdict.problem
