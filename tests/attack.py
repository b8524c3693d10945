"""``python -m tests.attack``: long, resumable Hypothesis campaigns over the coordinator and over the manager.

Each round is one seed. What was done is written down after every round, so an interrupted campaign goes on where it was; a finding
stops it, with the shrunk example and the seed. ``--steps`` are events for the coordinator, rules for the manager. In the end the campaign
tells which states, transitions, pairs of transitions and outcomes of decisions it has come to, how often, and which never.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from statemachine.checking.coverage import table

from .core.covered import as_names, by_names
from .core.test_coordinator_machine import CoordinatorMachine
from .manager.test_manager_machine import ManagerMachine

Machine: TypeAlias = type[CoordinatorMachine] | type[ManagerMachine]
SUBJECTS: dict[str, Machine] = {"coordinator": CoordinatorMachine, "manager": ManagerMachine}
EXAMPLES_A_ROUND = 100
ROUND = settings(max_examples=EXAMPLES_A_ROUND, stateful_step_count=100, deadline=None, print_blob=True, database=None)


def main(arguments: list[str]) -> int:
    """0 when the campaign is over without a finding. A finding is raised."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("--steps", type=int, required=True, help="how many, those of earlier runs included")
    parser.add_argument("--log", type=Path, default=Path("attack-results"), help="folder; default %(default)s")
    chosen = parser.parse_args(arguments)
    campaign = Campaign(SUBJECTS[chosen.subject], chosen.log / f"{chosen.subject}.json")
    while campaign.done["steps"] < chosen.steps:
        campaign.round()
        print("\r" + campaign.line(chosen.steps), end="\033[K", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report = f"{campaign.line(chosen.steps)}\n\n{campaign.coverage()}\n"
    print(report)
    (chosen.log / f"{chosen.subject}.txt").write_text(report)
    return 0


class Campaign:
    """Rounds over one state machine, counted in ``file``."""

    def __init__(self, machine: Machine, file: Path) -> None:
        self._machine = machine
        self._file = file
        self.done: dict[str, Any] = {
            "machine": machine.__name__,
            "rounds": 0,
            "steps": 0,
            "seconds": 0.0,
            "covered": {},
        }
        if file.exists():
            self.done |= json.loads(file.read_text())

    def round(self) -> None:
        """One seed more."""
        began = time.perf_counter()
        self._machine.steps = 0
        self._machine.fired.clear()
        number = self.done["rounds"]
        try:
            run_state_machine_as_test(seed(number)(self._machine), settings=ROUND)
        except BaseException:
            print(f"\nround (seed) {number} of {self._machine.__name__}:", file=sys.stderr)
            raise
        self.done["rounds"] = number + 1
        self.done["steps"] += self._machine.steps
        self.done["seconds"] = round(self.done["seconds"] + time.perf_counter() - began, 1)
        self.done["covered"] = as_names(by_names(self.done["covered"]) + self._machine.fired)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self.done, indent=1) + "\n")

    def line(self, steps: int) -> str:
        """How far it is."""
        done = self.done
        return f"{done['machine']}: {done['steps']:,} of {steps:,} steps in {done['rounds']} rounds, {done['seconds']:.0f} s"

    def coverage(self) -> str:
        """What it has covered."""
        return table(by_names(self.done["covered"]))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # what the manager warns of is what is being provoked
    sys.exit(main(sys.argv[1:]))
