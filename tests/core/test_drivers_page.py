"""``docs/drivers.md``: its example runs and prints what the page says, and its tables name every event and effect."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

from statemachine.core import Effect, Event, Expired

PAGE = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_page_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (printed,) = re.findall(r"```text\n(.*?)```", PAGE, re.S)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.stderr == ""
    assert run.stdout == printed


def test_the_tables_name_every_event_and_every_effect() -> None:
    """Expired is made by the coordinator itself; only a search chooses it freely."""
    named = {kind.__name__ for kind in (*get_args(Event), *get_args(Effect)) if kind is not Expired}
    assert {name for name in named if f"`{name}(" not in PAGE} == set()
