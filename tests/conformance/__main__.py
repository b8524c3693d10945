"""The zoo over many seeds: ``python -m tests.conformance [--seeds 20] [--jobs 2]``. Exit code 1 for a wrong verdict."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from adapters.conformance import check

from .zoo import CORRECT, ZOO

EXAMPLES = 30


def verdict(task: tuple[str, int]) -> str | None:
    """What is wrong with the verdict about one adapter from one seed."""
    name, seed = task
    subjects = {subject.__name__: subject for subject in CORRECT}
    subject, expected = (ZOO[name].subject, [ZOO[name].rule]) if name in ZOO else (subjects[name], [])
    report = check(subject, name=name, seed=seed, examples=EXAMPLES, seconds=300)
    if report.failed == expected:
        return None
    return f"{name}, seed {seed}: broken are {report.failed}, and should be {expected}\n{report.table()}"


def main() -> int:
    """Run the campaign; the exit code."""
    parser = argparse.ArgumentParser("python -m tests.conformance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    names = [*ZOO, *(subject.__name__ for subject in CORRECT)]
    with ProcessPoolExecutor(given.jobs) as pool:
        wrong = [text for text in pool.map(verdict, product(names, range(given.seeds))) if text is not None]
    for text in wrong:
        print(text, file=sys.stderr)
    right = len(names) * given.seeds - len(wrong)
    print(
        f"{len(ZOO)} broken and {len(CORRECT)} correct adapters over {given.seeds} seeds: {right} verdicts right, {len(wrong)} wrong"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
