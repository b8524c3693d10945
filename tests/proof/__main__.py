"""``python -m tests.proof``: let every layer of the proof loose on small wrong variants of the program."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from . import gallery, mutants


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the gallery. Returns the exit status: 0 if every mutant was caught, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=[mutant.name for mutant in mutants.MUTANTS],
        metavar="NAME",
        help="only these, with their counterexamples in full",
    )
    parser.add_argument("--quick", action="store_true", help="each only until the first layer catches it")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="how many mutants at a time (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON, with all counterexamples")
    options = parser.parse_args(arguments)
    exhibits = gallery.show(options.only, quick=options.quick, jobs=options.jobs)
    if options.json:
        print(json.dumps(gallery.as_json(exhibits), indent=2))
    else:
        print(gallery.as_table(exhibits))
        print(gallery.in_full(exhibits) if options.only else "", end="")
    return 0 if all(one.caught for one in exhibits) else 1


if __name__ == "__main__":
    sys.exit(main())
