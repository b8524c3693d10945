"""What has been found so far, one line of JSON for each trial, so that an interrupted campaign loses nothing."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path

from .mutate import Mutant
from .subjects import SUBJECTS
from .trial import Verdict

__all__ = ["Fate", "Results"]


class Fate(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNDECIDED = "undecided"  # it has not been through all stages


class Results:
    """By mutant. A killed one stays killed while its module is unchanged; what it passed counts only while the tests are the same."""

    def __init__(self, path: Path, tree: str, *, fresh: bool = False) -> None:
        self._path = path
        self._tree = tree
        self._killers: dict[str, str] = {}
        self._passed: dict[str, set[object]] = {}  # the stages
        path.parent.mkdir(exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._learn(json.loads(line))

    def _learn(self, record: dict[str, object]) -> None:
        digest = str(record["mutant"])
        if record["killer"]:
            self._killers[digest] = str(record["killer"])
        elif record["tree"] == self._tree:
            self._passed.setdefault(digest, set()).add(record["stage"])

    def passed(self, mutant: Mutant) -> int | None:
        """How many stages ``mutant`` has survived; None if it is dead."""
        return None if mutant.digest in self._killers else len(self._passed.get(mutant.digest, ()))

    def fate(self, mutant: Mutant) -> Fate:
        """What is known of ``mutant``."""
        passed = self.passed(mutant)
        if passed is None:
            return Fate.KILLED
        return Fate.UNDECIDED if passed < len(SUBJECTS[mutant.module]) else Fate.SURVIVED

    def add(self, mutant: Mutant, stage: int, verdict: Verdict) -> None:
        """Keep the verdict of one stage, on the disk too."""
        record: dict[str, object] = {"mutant": mutant.digest, "stage": stage, "tree": self._tree, **verdict._asdict()}
        self._learn(record)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
