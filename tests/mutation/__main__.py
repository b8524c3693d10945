"""The campaign: every mutant of every subject before the tests that reach it. Interrupted, it goes on where it was."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from simulation.commands.progress import progress

from .mutate import Mutant, mutants
from .reach import Reach, measured
from .report import explained, write
from .results import Results
from .subjects import CAMPAIGNS, LEFT_OUT, ROOT, Campaign
from .trial import start, verdict, warm_up

FOLDER = ROOT / ".mutation"
LIKELY = 4  # tests to be tried before all others


def main(arguments: list[str] | None = None) -> int:
    """Run what has no result yet, write docs/mutation.md. 1: a survivor is unexplained, or an explanation is of none."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("campaign", choices=CAMPAIGNS, help="what is mutated: the core, or the wire (adapters/http)")
    parser.add_argument("modules", nargs="*", metavar="module", help="such as core/ledger; all, where none is given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="trials at a time (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget all results")
    parser.add_argument("--report", action="store_true", help="run nothing, only write docs/mutation.md")
    options = parser.parse_args(arguments)
    campaign = CAMPAIGNS[options.campaign]
    names = options.modules or list(campaign.subjects)
    if unknown := set(names) - set(campaign.subjects):
        parser.error(f"no subject: {', '.join(sorted(unknown))}; there are {', '.join(campaign.subjects)}")
    folder = FOLDER / campaign.name
    folder.mkdir(exist_ok=True, parents=True)
    package, files = _digests(campaign)
    results = Results(folder / "results.jsonl", package, files, fresh=options.fresh)
    warm_up(campaign)
    tree = _digest(package, *files.values(), repr(campaign.subjects), LEFT_OUT.pattern)
    reach = measured(campaign, tree, folder)
    everything = {name: list(mutants(name, _source(campaign, name))) for name in campaign.subjects}
    try:
        if not options.report:
            _check_the_original(campaign, reach, results)
            _run(campaign, [m for name in names for m in everything[name]], reach, options.jobs, results)
    finally:
        fates = {name: [(m, results.fate(m, reach.of(m))) for m in of] for name, of in everything.items()}
        write(campaign, fates)
    return 0 if explained(campaign, fates) else 1


def _source(campaign: Campaign, module: str) -> str:
    return campaign.path(module).read_text(encoding="utf-8")


def _digests(campaign: Campaign) -> tuple[str, dict[str, str]]:
    """Of the package and of what helps to test it, and of each file of tests."""
    tests = {str(file.relative_to(ROOT)): file for file in sorted((ROOT / "tests").rglob("test_*.py"))}
    others = {*(ROOT / campaign.package).rglob("*.py"), *(ROOT / "tests").glob("*.py")} - {*tests.values()}
    package = _digest(*(file.read_text(encoding="utf-8") for file in sorted(others)))
    return package, {name: _digest(file.read_text(encoding="utf-8")) for name, file in tests.items()}


def _digest(*texts: str) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()[:20]


def _check_the_original(campaign: Campaign, reach: Reach, results: Results) -> None:
    """Without any mutation all tests pass, within their limits and in their order. Raises SystemExit where one does not."""
    for module in {tests: module for module, tests in campaign.subjects.items()}.values():
        original = Mutant(module, "", "", "", range(0), _source(campaign, module))
        if tests := results.open(original, reach.all_of(module)):
            note = FOLDER / campaign.name / "note"
            process = start(campaign, original, [reach.with_seconds(tests)], note)
            found = verdict(*os.wait4(process, 0)[1:], note)
            if found.killer:
                sys.exit(f"without any mutation, {found.killer} fails")
            results.add(original, tests, found)


def _run(campaign: Campaign, everything: list[Mutant], reach: Reach, jobs: int, results: Results) -> None:
    to_do = [(m, tests) for m in everything if (tests := results.open(m, reach.of(m)))]
    queue = iter(to_do)
    running: dict[int, tuple[Mutant, list[str]]] = {}  # by process
    killers: list[str] = []  # of the mutants before, the latest first
    with tempfile.TemporaryDirectory() as folder, progress(len(to_do), "mutants") as tick:
        while True:
            while len(running) < jobs and (following := next(queue, None)) is not None:
                mutant, tests = following
                batches = [reach.with_seconds(batch) for batch in _batches(tests, killers)]
                running[start(campaign, mutant, batches, Path(folder, mutant.digest))] = following
            if not running:
                return
            process, status, usage = os.wait3(0)
            mutant, tests = running.pop(process)
            found = verdict(status, usage, Path(folder, mutant.digest))
            results.add(mutant, tests, found)
            killers = [found.killer, *(name for name in killers if name != found.killer)] if found.killer else killers
            tick()


def _batches(tests: list[str], killers: list[str]) -> list[list[str]]:
    """What killed the mutants before is likely to kill the next one."""
    likely = [name for name in killers if name in tests][:LIKELY]
    return [batch for batch in (likely, [name for name in tests if name not in likely]) if batch]


if __name__ == "__main__":
    sys.exit(main())
