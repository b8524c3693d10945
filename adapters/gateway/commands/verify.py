"""``verify``: replay a journal through the coordinator and evaluate every ``always`` property.

Exit status: 0 it conforms, 1 it does not, 2 a file is no journal or cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from statemachine.journal.verify import verify
from statemachine.shell.options import argument, option

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which journal."""

    journal: tuple[Path, ...] = argument("its files, oldest first", parse=Path, count="+")
    policy: str | None = option(None, "the policy, where the journal does not name it")


def run(options: Options) -> int:
    """Verify the journal and print the verdict. Returns the exit status. Raises JournalError, ConfigurationError."""
    verdict = verify(options.journal, policy=options.policy)
    if verdict.problem is not None:
        print(f"does not conform after {verdict.changes} changes: {verdict.problem}")
        print("before it:", *verdict.before or ["nothing lived"], sep="\n  ")
        return 1
    print(f"conforming: {verdict.changes} changes" + ("; the last line was cut off" if verdict.truncated else ""))
    return 0
