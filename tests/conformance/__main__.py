"""The zoo over many seeds: ``python -m tests.conformance [--seeds 20] [--jobs 2]``. Exit code 1 for a wrong verdict."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from adapters.conformance import check

from .zoo import CORRECT, ZOO

EXAMPLES = 30


def verdict(task: tuple[int, str]) -> str | None:
    """What is wrong with the verdict about one adapter from one seed."""
    seed, name = task
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
    wrong = 0
    with ProcessPoolExecutor(given.jobs) as pool:
        for number, text in enumerate(pool.map(verdict, product(range(given.seeds), names)), 1):
            if text is not None:
                wrong += 1
                print(text, file=sys.stderr, flush=True)
            if number % len(names) == 0:
                print(f"{number // len(names)} seeds: {number - wrong} verdicts right, {wrong} wrong", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
