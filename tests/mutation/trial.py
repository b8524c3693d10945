"""One mutant before the tests: in a fork of a process that has collected them.

Most mutants change functions or constants alone: these are patched, and the collected tests run at once. For other things that are executed
at import (a class, a default, a constant that others are made of) everything is imported anew, with the tests. Nothing is written into the
working tree. A test is bounded by the processor's time, and by the time in which it does nothing at all; Hypothesis draws the same
examples each time: so the verdict does not depend on what else the machine does.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest

from .mutate import Mutant
from .patch import Imported
from .subjects import FIRST_PARTY, ROOT, Campaign

__all__ = ["OPTIONS", "Notes", "Trials", "Verdict", "collected", "fork", "verdict", "warm_up"]

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
OPTIONS = ("--timeout=0", "-x", "-q", "-s", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:anyio")
MARGIN = 4  # a test may take this many times the processor time that it takes with coverage,
SPARE = 0.5  # and this many seconds more;
IDLE = 4  # and may do nothing for this long, in seconds
COLLECTING = 20  # seconds of the processor for importing the package and the tests


class Verdict(NamedTuple):
    """``killer`` is the test that failed first, or what else ended the trial; empty: all passed."""

    killer: str
    cpu_seconds: float


def warm_up(campaign: Campaign) -> None:
    """Import what all tests import, once, but nothing that is mutated."""
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    for name in (*WARM, *campaign.warm):
        importlib.import_module(name)
    assert campaign.package not in sys.modules, f"{campaign.package} is imported already: its mutants would never be"


def collected(campaign: Campaign, work: Callable[[Trials], None]) -> None:
    """Collect the tests of all subjects, then do ``work`` with them. Raises SystemExit where that fails, and what ``work`` raises."""
    once = _Once(campaign, frozenset(sys.modules), work)
    code = pytest.main([*OPTIONS, *campaign.tests], [once])
    if once.error is not None:
        raise once.error
    if not once.began:
        sys.exit(f"the tests cannot be collected: exit status {code}")


class _Once:
    """A pytest plugin that does some work in the place of running the tests."""

    def __init__(self, campaign: Campaign, warm: frozenset[str], work: Callable[[Trials], None]) -> None:
        self.began = False
        self.error: BaseException | None = None
        self._campaign = campaign
        self._warm = warm
        self._work = work

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if self.began:  # in a trial
            return None
        self.began = True
        try:
            self._work(Trials(self._campaign, session, self._warm))
        except BaseException as error:  # pytest would report it as its own
            self.error = error
        return True


class Trials:
    """Starts trials. ``warm``: the modules that stay where what is mutated has to be imported anew."""

    def __init__(self, campaign: Campaign, session: pytest.Session, warm: frozenset[str]) -> None:
        self._campaign = campaign
        self._session = session
        self._warm = warm
        self._items = {item.nodeid: item for item in session.items}
        self._imported = Imported()
        self._sources = {name: campaign.source(name) for name in campaign.subjects}
        gc.collect()
        gc.freeze()  # a trial collects garbage several times: not ours

    def start(self, mutant: Mutant, batches: Sequence[Mapping[str, float]], note: Path, *, at_import: bool) -> int:
        """Fork a trial of a mutant in the place of a subject, which leaves the name of its killer in ``note``. Returns its process.

        The tests are run in their order, with each the processor time that it usually takes, in seconds. ``at_import``: what is changed
        is executed at import. Where it cannot be patched, all is imported anew; then one batch follows on the other, because
        collecting tests costs more than running most of them.
        """
        return fork(partial(self._run, mutant, batches, note, at_import), note)

    def _run(self, mutant: Mutant, batches: Sequence[Mapping[str, float]], note: Path, at_import: bool) -> int:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        file = self._campaign.path(mutant.module)
        old = self._sources[mutant.module]
        if self._imported.patch(str(file), old, mutant.source, functions=not at_import):
            return self._run_collected({name: seconds for tests in batches for name, seconds in tests.items()}, note)
        for name in set(sys.modules) - self._warm:
            if name.partition(".")[0] in FIRST_PARTY:
                del sys.modules[name]
        name = f"{self._campaign.package}.{mutant.module.replace('/', '.')}"
        sys.meta_path.insert(0, _Finder(name, file, mutant.source))
        code: int = pytest.ExitCode.OK
        for tests in batches:
            files = dict.fromkeys(name.split("::")[0] for name in tests)
            code = code or pytest.main([*OPTIONS, *files], [_Limits(tests, note), Notes(note)])
        return code

    def _run_collected(self, tests: Mapping[str, float], note: Path) -> int:
        manager = self._session.config.pluginmanager
        manager.register(_Limits(tests, note))
        manager.register(Notes(note))
        self._session.items = [self._items[name] for name in tests]
        with suppress(pytest.Session.Failed):  # the first that fails
            self._session.config.hook.pytest_runtestloop(session=self._session)
        return pytest.ExitCode.TESTS_FAILED if self._session.testsfailed else pytest.ExitCode.OK


def fork(work: Callable[[], int], note: Path) -> int:
    """Do ``work`` in a process of its own, silently, at the root; it exits with what that returns. Returns the process."""
    note.write_text("", encoding="utf-8")
    process = os.fork()
    if process == 0:
        try:
            silence = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(silence, stream)
            tempfile.tempdir = str(note.parent)  # is removed when the campaign ends
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
        self._idle_before = 0.0
        signal.signal(signal.SIGPROF, self._spins)
        signal.signal(signal.SIGALRM, self._may_wait)
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
        self._idle_before = _idle_seconds()
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, IDLE)

    def _may_wait(self, signum: int, _: object) -> None:
        """The clock says that it is time; but the processor may have been with others."""
        left = self._idle_before + IDLE - _idle_seconds()
        if left > 0.01:
            signal.setitimer(signal.ITIMER_REAL, left)
        else:
            self._end("waits")

    def _spins(self, signum: int, _: object) -> None:
        self._end("spins")

    def _end(self, what: str) -> None:
        self._note.write_text(f"{self._now} {what}", encoding="utf-8")
        os._exit(pytest.ExitCode.TESTS_FAILED)


def _idle_seconds() -> float:
    """How long this process has not wanted the processor, from a beginning of no matter: neither had it nor waited for it."""
    now = time.monotonic()
    try:
        running, waiting, _ = map(int, Path("/proc/self/schedstat").read_text(encoding="ascii").split())
    except OSError:  # not Linux: what others have of the processor is not known
        return now
    return now - (running + waiting) / 1e9


class Notes:
    """A pytest plugin that writes down the first failure."""

    def __init__(self, note: Path) -> None:
        self._note = note

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._note.write_text(report.nodeid, encoding="utf-8")
