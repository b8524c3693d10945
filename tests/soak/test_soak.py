"""Slices of the campaigns in this folder."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.soak.signals import campaign
from tests.soak.soak import soak


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not tell which files are open")
async def test_a_slice_of_the_soak(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    findings = await soak(0, seed=1, round_seconds=2)
    assert findings.rounds == 2
    assert findings.ended.total() > 20
    assert len(findings.ended) > 3


async def test_r02_a_slice_of_the_signals() -> None:
    done = await campaign(seconds=1, rate=1000)
    assert done.signals > 100
    assert done.calls > 100
