"""python-statemachine, whose import name is that of our package: its environment must not see the repository."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]


def trigger(operations: int) -> Callable[[], float]:
    """A round: seconds per trigger."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    create = import_module("statemachine.io").create_machine_class_from_definition
    states = {
        "idle": {"initial": True, "on": {"acquire": [{"target": "active"}]}},
        "active": {"on": {"release": [{"target": "idle"}]}},
    }
    instance = create("Instance", states=states)()

    def make_round() -> float:
        began = time.process_time()
        for _ in range(operations):
            instance.acquire()
            instance.release()
        return (time.process_time() - began) / (2 * operations)

    return make_round
