"""What has been found so far, one line of JSON for each trial, so that an interrupted campaign loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from .mutate import Mutant
from .reach import file_of
from .trial import Verdict

__all__ = ["Fate", "Results"]


class Fate(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNDECIDED = "undecided"  # it has not been tried yet, or not with these tests


class Results:
    """By mutant. A killed one stays killed while its module is unchanged. What it survived counts while nothing but tests is
    changed, and in those files of tests that are not.

    ``package`` is a digest of what is tested and of what helps to; ``files`` are digests of the files of tests.
    """

    def __init__(self, path: Path, package: str, files: Mapping[str, str], *, fresh: bool = False) -> None:
        self._path = path
        self._package = package
        self._files = files
        self._killers: dict[str, str] = {}
        self._passed: dict[str, dict[str, str]] = {}
        path.parent.mkdir(exist_ok=True)
        if fresh:
            path.unlink(missing_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._learn(json.loads(line))

    def _learn(self, record: dict[str, Any]) -> None:
        if record["killer"]:
            self._killers[record["mutant"]] = record["killer"]
        elif record["package"] == self._package:
            self._passed.setdefault(record["mutant"], {}).update(record["files"])

    def open(self, mutant: Mutant, tests: Iterable[str]) -> list[str]:
        """Which of ``tests`` ``mutant`` has not been tried with; none if it is dead."""
        if mutant.digest in self._killers:
            return []
        passed = self._passed.get(mutant.digest, {})
        return [name for name in tests if passed.get(file_of(name)) != self._files[file_of(name)]]

    def fate(self, mutant: Mutant, tests: Iterable[str]) -> Fate:
        """What is known of ``mutant``, for which ``tests`` are to be run."""
        if mutant.digest in self._killers:
            return Fate.KILLED
        return Fate.UNDECIDED if self.open(mutant, tests) else Fate.SURVIVED

    def add(self, mutant: Mutant, tests: Iterable[str], verdict: Verdict) -> None:
        """Keep the verdict of ``tests``, on the disk too."""
        files = {file_of(name): self._files[file_of(name)] for name in tests}
        record = {"mutant": mutant.digest, "package": self._package, "files": files, **verdict._asdict()}
        self._learn(record)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
