"""What work costs, counted and not timed: machines differ, and are noisy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from statemachine import policies

__all__ = ["steps_in_policies"]

FOLDER: Final = str(Path(policies.__file__).parent)


def steps_in_policies(work: Callable[[], object]) -> int:
    """How many lines of the policies' Python ``work`` runs."""
    steps = 0

    def count(frame: FrameType, event: str, _: object) -> Any:
        nonlocal steps
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps
