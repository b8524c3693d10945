"""``python -m benchmarks WHAT ...``: measure what the core costs and what coordination saves. See :mod:`.command`."""

from __future__ import annotations

import sys

from statemachine.shell.command import run_command

if __name__ == "__main__":
    summary = "Measure what the core costs and what coordination saves."
    sys.exit(run_command("python -m benchmarks", "benchmarks.command", summary, sys.argv[1:], extra="dev"))
