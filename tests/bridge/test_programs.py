"""A slice of the generated asyncio programs: ``make bridge`` runs 2,000."""

from __future__ import annotations

from collections import Counter

import pytest

from .programs import KINDS, run_many
from .world import LoopFactory, uvloop_factory


@pytest.mark.parametrize("loop_factory", [None, uvloop_factory], ids=["asyncio", "uvloop"])
def test_programs_that_are_cancelled_anywhere_break_no_rule(loop_factory: LoopFactory | None) -> None:
    seen: Counter[str] = Counter()
    run_many(60, seen, loop_factory)
    assert all(seen[kind] for kind in (*KINDS[:-1], "cancelled", "AcquireTimeoutError"))
