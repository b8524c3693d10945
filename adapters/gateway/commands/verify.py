"""``verify``: replay a journal through the coordinator and evaluate every ``always`` property.

Exit codes: 0 conforms, 1 does not, 2 the file is no journal or cannot be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from statemachine import ConfigurationError, JournalError
from statemachine.journal.verify import verify
from statemachine.parser import Parser

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Verify one journal and say the verdict."""
    parser = Parser(prog="llm-slots verify", description="Replay a journal and check every property.")
    parser.add_argument("journal", nargs="+", type=Path, help="its files, oldest first")
    parser.add_argument("--policy", help="the policy, where the journal does not name it")
    options = parser.parse_args(arguments)
    try:
        verdict = verify(options.journal, policy=options.policy)
    except (JournalError, ConfigurationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if verdict.problem is not None:
        print(f"does not conform after {verdict.changes} changes: {verdict.problem}")
        print("before it:", *verdict.before or ["nothing lived"], sep="\n  ")
        return 1
    print(f"conforming: {verdict.changes} changes" + ("; the last line was cut off" if verdict.truncated else ""))
    return 0
