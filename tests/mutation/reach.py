"""Which tests reach which line, and what each takes: one run of them, with coverage by test."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from coverage import Coverage

from .mutate import Mutant
from .subjects import LEFT_OUT, Campaign
from .trial import OPTIONS, Notes, fork, verdict

__all__ = ["Reach", "file_of", "measured"]

QUICK_SECONDS = 0.15  # of the processor, with coverage
_IMPORT = ""  # the context of what is executed before the first test


class Reach(NamedTuple):
    """By module the tests that execute each line, and by test its processor time, with coverage, in seconds."""

    campaign: Campaign
    tests: dict[str, dict[int, set[str]]]
    seconds: dict[str, float]
    elsewhere: set[str]
    """The tests that execute no line of any module but at import."""

    def of(self, mutant: Mutant, *, quick: bool = False) -> list[str]:
        """The tests that can notice ``mutant``, quick ones first, as far as the campaign has time for them; ``quick``: the first of them.

        What is executed at import (a default, a decorator, a table) may matter to any test of the module, first to those that reach a
        line with its name, and to those that reach nothing: they look at names. Where there is time for some only, those at home go first.
        """
        reaching = self._reaching(mutant.module, mutant.lines) & self.seconds.keys()
        ordered = self._ordered(mutant.module, reaching)
        if self.is_of_import(mutant):
            statement = self.campaign.source(mutant.module).splitlines()[mutant.lines.start - 1].strip()
            mentioning = self._mentioning(re.split(r"\W", statement)[0]) & self.seconds.keys()
            first = self._ordered(mutant.module, mentioning)
            others = self.seconds.keys() - set(first)
            ordered = [
                *first,
                *self._ordered(
                    mutant.module, others & (self._reaching(mutant.module, self.tests[mutant.module]) | self.elsewhere)
                ),
            ]
        if not quick:
            ordered.sort(key=lambda name: not name.startswith(self.campaign.at_home.get(mutant.module, ())))
        until = accumulate(self.seconds[name] for name in ordered)
        bound = QUICK_SECONDS if quick else self.campaign.seconds
        return [name for name, seconds in zip(ordered, until, strict=True) if seconds <= bound]

    def _mentioning(self, name: str) -> set[str]:
        """The tests that execute a line of any module that has ``name`` in it."""
        found: set[str] = set()
        for module in self.campaign.subjects:
            lines = enumerate(self.campaign.source(module).splitlines(), 1)
            found |= self._reaching(module, [number for number, line in lines if re.search(rf"\b{name}\b", line)])
        return found

    def is_of_import(self, mutant: Mutant) -> bool:
        """Whether the changed lines are executed at import."""
        return _IMPORT in self._reaching(mutant.module, mutant.lines)

    def all_of(self, module: str) -> list[str]:
        """All tests of ``module``."""
        return self._ordered(module, self.seconds)

    def with_seconds(self, tests: Iterable[str]) -> dict[str, float]:
        """With each of ``tests`` what it takes."""
        return {name: self.seconds[name] for name in tests}

    def _reaching(self, module: str, lines: Iterable[int]) -> set[str]:
        tests = self.tests.get(module, {})
        return {test for line in lines for test in tests.get(line, ())}

    def _ordered(self, module: str, tests: Iterable[str]) -> list[str]:
        chosen = (name for name in tests if name.startswith(self.campaign.subjects[module]))
        return sorted(chosen, key=lambda name: (self.seconds[name], name))


def file_of(test: str) -> str:
    """The file that a test stands in."""
    return test.split("::")[0]


def measured(campaign: Campaign, package: str, files: Mapping[str, str], folder: Path) -> Reach:
    """Of the package and the files of tests with these digests. What ``folder`` has of them is not measured again.

    Raises SystemExit where a test fails.
    """
    file = folder / "reach.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if known.get("package") != package:
        known = {"package": package, "files": {}}
    wanted = {name: files[name] for name in map(file_of, campaign.tests)}
    of_files = {name: known["files"].get(name) for name in wanted}
    new = [name for name, of in of_files.items() if of is None or of["digest"] != wanted[name]]
    if new:
        print(f"measuring which tests reach which line, of {len(new)} files of tests", file=sys.stderr)
        part, note = folder / "part.json", folder / "note"
        tests = [test for test in campaign.tests if file_of(test) in new]
        if killer := verdict(*os.wait4(fork(partial(_measure, campaign, tests, part, note), note), 0)[1:], note).killer:
            sys.exit(f"without any mutation, {killer} fails")
        found = json.loads(part.read_text(encoding="utf-8"))
        known["files"] |= {name: {"digest": wanted[name], **_part_of(name, found)} for name in new}
        file.write_text(json.dumps(known), encoding="utf-8")
    return _joined(campaign, [known["files"][name] for name in wanted])


def _part_of(file: str, found: dict[str, Any]) -> dict[str, Any]:
    """What was found of the tests of one file, and at import."""
    tests = {
        module: {
            line: [name for name in names if name == _IMPORT or file_of(name) == file] for line, names in lines.items()
        }
        for module, lines in found["tests"].items()
    }
    return {"tests": tests, "seconds": {name: s for name, s in found["seconds"].items() if file_of(name) == file}}


def _joined(campaign: Campaign, parts: list[dict[str, Any]]) -> Reach:
    tests: dict[str, dict[int, set[str]]] = {module: {} for module in campaign.subjects}
    for part in parts:
        for module, lines in part["tests"].items():
            for line, names in lines.items():
                tests[module].setdefault(int(line), set()).update(names)
    seconds = {name: value for part in parts for name, value in part["seconds"].items()}
    reaching = {test for lines in tests.values() for names in lines.values() for test in names}
    return Reach(campaign, tests, seconds, seconds.keys() - reaching)


def _measure(campaign: Campaign, tests: list[str], file: Path, note: Path) -> int:
    files = {module: str(campaign.path(module)) for module in campaign.subjects}
    coverage = Coverage(data_file=None, config_file=False, include=list(files.values()))
    clock = _Clock(coverage)
    coverage.start()
    code = pytest.main([*OPTIONS, *tests], [clock, Notes(note)])
    coverage.stop()
    data = coverage.get_data()
    reached = {module: data.contexts_by_lineno(name) for module, name in files.items()}
    file.write_text(json.dumps({"tests": reached, "seconds": clock.seconds}), encoding="utf-8")
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
