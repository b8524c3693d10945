"""One mutant before the tests: in a fork of a process that has everything imported but what is mutated, and the tests.

Nothing is written into the working tree. A trial is bounded by the processor's time, by the clock only where it does nothing at all, and
Hypothesis draws the same examples each time, so that the verdict does not depend on what else the machine does.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest

__all__ = ["ROOT", "Verdict", "start", "verdict", "warm_up"]

ROOT = Path(__file__).parents[2]
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
TIMEOUT = "--timeout=60"  # seconds for one test, for those that wait for ever and take no time of the processor
OPTIONS = (TIMEOUT, "-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:anyio")


class Verdict(NamedTuple):
    """``killer`` is the test that failed first, or what else ended the trial; empty: all passed."""

    killer: str
    cpu_seconds: float


def warm_up() -> None:
    """Import what all tests import, once."""
    for name in WARM:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a trial collects garbage several times: not ours


def start(module: str, source: str, tests: Sequence[str], cpu_seconds: int, note: Path) -> int:
    """Fork a trial of ``source`` as ``module`` (a path in ``statemachine``), which notes its killer in ``note``. Returns its process."""
    note.write_text("", encoding="utf-8")
    process = os.fork()
    if process == 0:
        try:
            _run(module, source, tests, cpu_seconds, note)
        finally:
            os._exit(pytest.ExitCode.INTERNAL_ERROR)
    return process


def verdict(status: int, usage: Any, note: Path) -> Verdict:
    """What came of the trial that ended with ``status``."""
    code = os.waitstatus_to_exitcode(status)
    if code == pytest.ExitCode.OK:
        killer = ""
    elif code == -signal.SIGXCPU:
        killer = "its time"
    elif code < 0:
        killer = f"signal {-code}"
    else:
        killer = note.read_text(encoding="utf-8") or "its import"  # where no test could be collected
    return Verdict(killer, usage.ru_utime + usage.ru_stime)


def _run(module: str, source: str, tests: Sequence[str], cpu_seconds: int, note: Path) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silence, stream)
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    os.chdir(ROOT)
    sys.dont_write_bytecode = False
    sys.meta_path.insert(0, _Finder(f"statemachine.{module.replace('/', '.')}", source))
    os._exit(pytest.main([*OPTIONS, *tests], plugins=[_Notes(note)]))


class _Finder:
    """Finds one module with another source than that on the disk."""

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        file = str(ROOT / name.replace(".", "/")) + ".py"
        return spec_from_file_location(name, file, loader=_Loader(name, file, self._source))


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Notes:
    """A pytest plugin that writes down the first failure."""

    def __init__(self, note: Path) -> None:
        self._note = note

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._note.write_text(report.nodeid, encoding="utf-8")
