"""The campaign: every mutant of every subject before its tests, quick killers first. Interrupted, it goes on where it was."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from simulation.progress import progress

from . import subjects
from .mutate import Mutant, mutants
from .report import explained, write
from .results import Fate, Results
from .subjects import SUBJECTS, Tests
from .trial import ROOT, start, verdict, warm_up

MARGIN = 4  # a mutant may take so many times the processor time of the original,
SPARE = 4  # and so many seconds more


def main(arguments: list[str] | None = None) -> int:
    """Run what has no result yet, write docs/mutation.md. 1: a survivor is unexplained, or an explanation is of none."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="module", help=f"of {', '.join(SUBJECTS)}; all, where none is given"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget all results")
    parser.add_argument("--report", action="store_true", help="run nothing, only write docs/mutation.md")
    options = parser.parse_args(arguments)
    names = options.modules or list(SUBJECTS)
    if unknown := set(names) - set(SUBJECTS):
        parser.error(f"no subject: {', '.join(sorted(unknown))}")
    results = Results(ROOT / ".mutation" / "results.jsonl", _state_of_the_tree(), fresh=options.fresh)
    everything = {name: list(mutants(name, _source(name))) for name in SUBJECTS}
    to_do = [m for name in names for m in everything[name] if results.fate(m) is Fate.UNDECIDED]
    try:
        if to_do and not options.report:
            warm_up()
            _run(to_do, options.jobs, results)
    finally:
        write(everything, results)
    return 0 if explained(everything, results) else 1


def _source(module: str) -> str:
    return (ROOT / "statemachine" / f"{module}.py").read_text(encoding="utf-8")


def _state_of_the_tree() -> str:
    """A digest of the package and the tests: it is under these that a mutant survives."""
    digest = sha256()
    for path in sorted(
        [*(ROOT / "statemachine").rglob("*.py"), *(ROOT / "tests").glob("*.py"), Path(subjects.__file__)]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _run(to_do: list[Mutant], jobs: int, results: Results) -> None:
    """All of them through the first stage, then those that survived it through the second, and so on."""
    with tempfile.TemporaryDirectory() as folder:
        for stage in range(max(len(SUBJECTS[m.module]) for m in to_do)):
            alive = [m for m in to_do if results.passed(m) == stage and stage < len(SUBJECTS[m.module])]
            if alive:
                _run_stage(stage, alive, jobs, results, Path(folder))


def _run_stage(stage: int, alive: list[Mutant], jobs: int, results: Results, folder: Path) -> None:
    limits = {tests: _limit(tests, folder) for tests in dict.fromkeys(SUBJECTS[m.module][stage] for m in alive)}
    queue = iter(alive)
    running: dict[int, Mutant] = {}  # by process
    with progress(len(alive), f"mutants in stage {stage + 1}") as tick:
        while True:
            while len(running) < jobs and (mutant := next(queue, None)) is not None:
                tests = SUBJECTS[mutant.module][stage]
                process = start(mutant.module, mutant.source, tests, limits[tests], folder / mutant.digest)
                running[process] = mutant
            if not running:
                return
            process, status, usage = os.wait3(0)
            mutant = running.pop(process)
            results.add(mutant, stage, verdict(status, usage, folder / mutant.digest))
            tick()


def _limit(tests: Tests, folder: Path) -> int:
    """The processor time for a trial, from one without any mutation. Raises SystemExit where that fails."""
    note = folder / "original"
    _, status, usage = os.wait4(start("errors", _source("errors"), tests, 3600, note), 0)
    original = verdict(status, usage, note)
    if original.killer:
        sys.exit(f"without any mutation, {original.killer} fails")
    return int(MARGIN * original.cpu_seconds) + SPARE


if __name__ == "__main__":
    sys.exit(main())
