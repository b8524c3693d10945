"""One mutant before the tests: in a fork of a process that has everything imported but the package and the tests.

Nothing is written into the working tree. A test is bounded by the processor's time, and by the clock only generously, for where it does
nothing at all; Hypothesis draws the same examples each time: so the verdict does not depend on what else the machine does.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest

from .mutate import Mutant
from .subjects import ROOT, Campaign

__all__ = ["OPTIONS", "Notes", "Verdict", "fork", "start", "verdict", "warm_up"]

MEMORY = 4 << 30  # bytes
WARM = (
    "_hypothesis_pytestplugin",
    "hypothesis.stateful",
    "httpx",
    "pdb",
    "pytest_timeout",
    "pytest_trio.plugin",
    "transitions",
    "trio.testing",
    "unittest",
)
OPTIONS = ("--timeout=0", "-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:anyio")
MARGIN = 4  # a test may take this many times the processor time that it takes with coverage,
SPARE = 0.5  # and this many seconds more;
PATIENCE = 5  # and this many times that by the clock, where it waits, or where others have the processor
COLLECTING = 10  # seconds of the processor for importing the package and the tests


class Verdict(NamedTuple):
    """``killer`` is the test that failed first, or what else ended the trial; empty: all passed."""

    killer: str
    cpu_seconds: float


def warm_up(campaign: Campaign) -> None:
    """Import what all tests import, once."""
    for name in (*WARM, *campaign.warm):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a trial collects garbage several times: not ours


def start(campaign: Campaign, mutant: Mutant, batches: Sequence[Mapping[str, float]], note: Path) -> int:
    """Fork a trial of a mutant in the place of a subject, which leaves the name of its killer in ``note``. Returns its process.

    The tests are run in their order, with each the processor time that it usually takes, in seconds; one batch after the other, because
    collecting tests costs more than running most of them.
    """
    return fork(partial(_run, campaign, mutant, batches, note), note)


def fork(work: Callable[[], int], note: Path) -> int:
    """Do ``work`` in a process of its own, silently, at the root; it exits with what that returns. Returns the process."""
    note.write_text("", encoding="utf-8")
    process = os.fork()
    if process == 0:
        try:
            silence = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(silence, stream)
            os.environ["HYPOTHESIS_PROFILE"] = "mutation"
            os.chdir(ROOT)
            os._exit(work())
        finally:
            os._exit(pytest.ExitCode.INTERNAL_ERROR)
    return process


def verdict(status: int, usage: Any, note: Path) -> Verdict:
    """What came of the trial that ended with ``status``."""
    code = os.waitstatus_to_exitcode(status)
    if code == pytest.ExitCode.OK:
        killer = ""
    elif code < 0:
        killer = f"signal {-code}"
    else:
        killer = note.read_text(encoding="utf-8") or "its import"  # where no test could be collected
    return Verdict(killer, usage.ru_utime + usage.ru_stime)


def _run(campaign: Campaign, mutant: Mutant, batches: Sequence[Mapping[str, float]], note: Path) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    name = f"{campaign.package}.{mutant.module.replace('/', '.')}"
    sys.meta_path.insert(0, _Finder(name, campaign.path(mutant.module), mutant.source))
    code: int = pytest.ExitCode.OK
    for tests in batches:
        files = dict.fromkeys(name.split("::")[0] for name in tests)
        code = code or pytest.main([*OPTIONS, *files], [_Limits(tests, note), Notes(note)])
    return code


class _Finder:
    """Finds one module with another source than that on the disk."""

    def __init__(self, name: str, file: Path, source: str) -> None:
        self._name = name
        self._file = str(file)
        self._source = source

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        return spec_from_file_location(name, self._file, loader=_Loader(name, self._file, self._source))


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Limits:
    """A pytest plugin that runs ``tests`` alone, in their order, and ends the trial where one of them takes too long."""

    def __init__(self, tests: Mapping[str, float], note: Path) -> None:
        self._tests = tests
        self._ranks = {name: rank for rank, name in enumerate(tests)}
        self._note = note
        self._now = "collecting"
        signal.signal(signal.SIGPROF, self._end)
        signal.signal(signal.SIGALRM, self._end)
        self._allow(COLLECTING)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._ranks), key=lambda item: self._ranks[item.nodeid]
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._now = item.nodeid
        self._allow(MARGIN * self._tests[item.nodeid] + SPARE)
        return (yield)

    def _allow(self, cpu_seconds: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE * cpu_seconds)

    def _end(self, signum: int, _: object) -> None:
        what = "spins" if signum == signal.SIGPROF else "waits"
        self._note.write_text(f"{self._now} {what}", encoding="utf-8")
        os._exit(pytest.ExitCode.TESTS_FAILED)


class Notes:
    """A pytest plugin that writes down the first failure."""

    def __init__(self, note: Path) -> None:
        self._note = note

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._note.write_text(report.nodeid, encoding="utf-8")
