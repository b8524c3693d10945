"""The campaign: every mutant of every subject before the tests that reach it. Interrupted, it goes on where it was."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from .mutate import Mutant, mutants
from .reach import Reach, file_of, measured
from .report import explained, table, write
from .results import Results
from .subjects import CAMPAIGNS, LEFT_OUT, ROOT, Campaign
from .trial import Trials, collected, verdict, warm_up

FOLDER = ROOT / ".mutation"
LIKELY = 4  # tests to be tried before all others


def main(arguments: list[str] | None = None) -> int:
    """Run what has no result yet, module by module. 1: a survivor is unexplained, or an explanation is of none."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("campaign", choices=CAMPAIGNS, help="what is mutated: the core, or the wire (adapters/http)")
    parser.add_argument(
        "modules",
        nargs="*",
        metavar="module",
        help="such as core/ledger; none: all, and the report is written",
    )
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
    reach = measured(campaign, package, files, folder)
    everything = {name: list(mutants(name, campaign.source(name))) for name in names}

    def work(trials: Trials) -> None:
        _check_the_original(campaign, trials, reach, results)
        for of_module in everything.values():
            _run(trials, of_module, reach, options.jobs, results)

    try:
        if not options.report:
            collected(campaign, work)
    finally:
        fates = {name: [(m, results.fate(m, reach.of(m))) for m in of] for name, of in everything.items()}
        print(table(fates))
        if not options.modules:
            write(campaign, fates)
    return 0 if explained(campaign, fates) else 1


def _digests(campaign: Campaign) -> tuple[str, dict[str, str]]:
    """Of the package and of what helps to test it, and of each file of tests."""
    names = dict.fromkeys(map(file_of, campaign.tests))
    rooms = {(ROOT / name).parent for name in names} | {ROOT / "tests"}
    others = {*(ROOT / campaign.package).rglob("*.py"), *(file for room in rooms for file in room.glob("*.py"))}
    others = {file for file in others if not file.name.startswith("test_")}
    package = _digest(repr(campaign.warm), LEFT_OUT.pattern, *(_read(file) for file in sorted(others)))
    return package, {name: _digest(_read(ROOT / name)) for name in names}


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _digest(*texts: str) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()[:20]


def _check_the_original(campaign: Campaign, trials: Trials, reach: Reach, results: Results) -> None:
    """Without any mutation all tests pass, within their limits and in their order. Raises SystemExit where one does not."""
    for module in {tests: module for module, tests in campaign.subjects.items()}.values():
        original = Mutant(module, "", "", "", range(0), campaign.source(module))
        if tests := results.open(original, reach.all_of(module)):
            with tempfile.TemporaryDirectory() as folder:
                for at_import in (False, True):
                    note = Path(folder, "note")
                    process = trials.start(original, [reach.with_seconds(tests)], note, at_import=at_import)
                    found = verdict(*os.wait4(process, 0)[1:], note)
                    if found.killer:
                        sys.exit(f"without any mutation, {found.killer} fails")
            results.add(original, tests, found)


def _run(trials: Trials, everything: list[Mutant], reach: Reach, jobs: int, results: Results) -> None:
    """Try every mutant before its quickest tests, which kill most, then what is left before all of its tests."""
    killers: list[str] = []  # of the mutants before, the latest first
    for quick in (True, False):
        to_do = [(m, tests) for m in everything if (tests := results.open(m, reach.of(m, quick=quick)))]
        _try_all(trials, to_do, reach, jobs, results, killers, quick=quick)


def _try_all(
    trials: Trials,
    to_do: list[tuple[Mutant, list[str]]],
    reach: Reach,
    jobs: int,
    results: Results,
    killers: list[str],
    *,
    quick: bool,
) -> None:
    queue, done = iter(to_do), 0
    running: dict[int, tuple[Mutant, list[str]]] = {}  # by process
    with tempfile.TemporaryDirectory() as folder:
        while True:
            while len(running) < jobs and (following := next(queue, None)) is not None:
                mutant, tests = following
                batches = [reach.with_seconds(batch) for batch in _batches(tests, killers)]
                note, at_import = Path(folder, mutant.digest), reach.is_of_import(mutant)
                running[trials.start(mutant, batches, note, at_import=at_import)] = following
            if not running:
                return
            process, status, usage = os.wait3(0)
            mutant, tests = running.pop(process)
            found = verdict(status, usage, Path(folder, mutant.digest))
            if found.killer or not quick:
                results.add(mutant, tests, found)
            if found.killer:
                killers[:] = [found.killer, *(name for name in killers if name != found.killer)]
            done += 1
            print(f"{done} of {len(to_do)} mutants tried", file=sys.stderr, end="\n" if done % 100 == 0 else "\r")


def _batches(tests: list[str], killers: list[str]) -> list[list[str]]:
    """What killed the mutants before is likely to kill the next one."""
    likely = [name for name in killers if name in tests][:LIKELY]
    return [batch for batch in (likely, [name for name in tests if name not in likely]) if batch]


if __name__ == "__main__":
    sys.exit(main())
