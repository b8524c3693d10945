"""Slices of the two campaigns: ``make gateway-kill`` and ``make gateway-soak`` run them whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .kill import one_run
from .soak import AGENTS, soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@pytest.mark.parametrize("seed", range(5))
async def test_a_kill(seed: int, tmp_path: Path) -> None:
    victim, ends = await one_run(seed, tmp_path)
    if victim == "client":
        assert ends["answered"] + ends["left"] == ends.total(), "the others do not notice"


async def test_a_soak(tmp_path: Path) -> None:
    findings = await soak(20, 0, tmp_path)
    assert findings.ended.total() >= AGENTS
    assert findings.changes > findings.counters["grants"] > 0
    assert findings.ended["answered"]
