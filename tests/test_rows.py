"""Each row of the faults that attacks and new users have found has a test by its number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
ROWS = [*(f"r{number:02}" for number in range(1, 22)), *(f"n{number:02}" for number in range(1, 12))]


@pytest.mark.parametrize("row", ROWS)
def test_it_has_one(row: str) -> None:
    name = re.compile(rf"def test_(?:[rn]\d\d_)*{row}_\w+\(")
    assert any(name.search(path.read_text(encoding="utf-8")) for path in ROOT.rglob("test_*.py"))
