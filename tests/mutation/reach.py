"""Which tests reach which line, and what each takes: one run of all tests, with coverage by test."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from coverage import Coverage

from .mutate import Mutant
from .subjects import LEFT_OUT, Campaign, Tests
from .trial import OPTIONS, Notes, fork, verdict

__all__ = ["Reach", "measured"]

_IMPORT = ""  # the context of what is executed before the first test


class Reach(NamedTuple):
    """By module the tests that execute each line, and by test its processor time, with coverage, in seconds."""

    subjects: Mapping[str, Tests]
    tests: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that can notice ``mutant``, quick ones first.

        What is executed at import (a default, a decorator, a table) may matter to any test.
        """
        tests = self.tests[mutant.module]
        reaching = {test for line in mutant.lines for test in tests.get(line, ())}
        return self._ordered(mutant.module, self.seconds if _IMPORT in reaching else reaching)

    def all_of(self, module: str) -> list[str]:
        """All tests of ``module``."""
        return self._ordered(module, self.seconds)

    def _ordered(self, module: str, tests: Iterable[str]) -> list[str]:
        chosen = (name for name in tests if name.startswith(self.subjects[module]))
        return sorted(chosen, key=lambda name: (self.seconds[name], name))

    def with_seconds(self, tests: Iterable[str]) -> dict[str, float]:
        """With each of ``tests`` what it takes."""
        return {name: self.seconds[name] for name in tests}


def measured(campaign: Campaign, tree: str, folder: Path) -> Reach:
    """Of the files whose digest is ``tree``; what ``folder`` has of them is not measured again. Raises SystemExit where a test fails."""
    file = folder / "reach.json"
    if not file.exists() or json.loads(file.read_text(encoding="utf-8"))["tree"] != tree:
        print("measuring which tests reach which line: some minutes", file=sys.stderr)
        note = folder / "note"
        process = fork(partial(_measure, campaign, tree, file, note), note)
        if killer := verdict(*os.wait4(process, 0)[1:], note).killer:
            sys.exit(f"without any mutation, {killer} fails")
    known = json.loads(file.read_text(encoding="utf-8"))
    tests = {module: {int(line): names for line, names in lines.items()} for module, lines in known["tests"].items()}
    return Reach(campaign.subjects, tests, known["seconds"])


def _measure(campaign: Campaign, tree: str, file: Path, note: Path) -> int:
    files = {module: str(campaign.path(module)) for module in campaign.subjects}
    coverage = Coverage(data_file=None, config_file=False, include=list(files.values()))
    clock = _Clock(coverage)
    coverage.start()
    code = pytest.main(
        [*OPTIONS, *dict.fromkeys(t for tests in campaign.subjects.values() for t in tests)], [clock, Notes(note)]
    )
    coverage.stop()
    data = coverage.get_data()
    tests = {module: data.contexts_by_lineno(name) for module, name in files.items()}
    file.write_text(json.dumps({"tree": tree, "tests": tests, "seconds": clock.seconds}), encoding="utf-8")
    return code


class _Clock:
    """A pytest plugin that tells ``coverage`` which test is on, and takes its processor time."""

    def __init__(self, coverage: Coverage) -> None:
        self.seconds: dict[str, float] = {}
        self._coverage = coverage

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not LEFT_OUT.search(item.nodeid)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._coverage.switch_context(item.nodeid)
        before = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - before
