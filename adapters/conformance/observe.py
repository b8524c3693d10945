"""What can be seen of this process: tasks, sockets, how long the event loop is held up, and what is logged."""

from __future__ import annotations

import logging
import math
import os
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

import trio

__all__ = ["LoopWatch", "captured_log", "captured_warnings", "socket_count", "task_names"]


class LoopWatch(trio.abc.Instrument):
    """Measures each step of each task, in real seconds: nothing else can run meanwhile.

    The time in which this thread could have run, and other programs had the processor, is left out where the system tells it (Linux):
    on a busy machine it would look like a step that blocks. To be entered in the thread of the run.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._began = math.inf
        self._file: int | None = None

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = self._now()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.longest = max(self.longest, self._now() - self._began)
        self._began = math.inf

    def under_way(self) -> float:
        """Return the seconds since the step that is under way has begun; 0 where none is. From any thread."""
        return max(0.0, self._now() - self._began)

    def _now(self) -> float:
        return time.perf_counter() - self._kept_waiting()

    def _kept_waiting(self) -> float:
        """Return the seconds for which this thread has waited for a processor since it began."""
        if self._file is None:
            return 0.0
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9


def task_names(own: trio.lowlevel.Task) -> frozenset[str]:
    """Return the tasks below ``own``, and trio's system tasks, which an adapter may have added to. Other tasks of the run are not its."""
    root = trio.lowlevel.current_root_task()
    ancestor = own
    while ancestor.parent_nursery is not None and ancestor.parent_nursery.parent_task is not root:
        ancestor = ancestor.parent_nursery.parent_task
    others = [] if root is None else [task for nursery in root.child_nurseries for task in nursery.child_tasks]
    found = [task for task in others if task is not ancestor]
    return frozenset(f"{task.name}#{id(task):x}" for task in [*found, *_below(own)])


def _below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child
            yield from _below(child)


def socket_count() -> int | None:
    """Return how many sockets this process has open. None where the system does not tell."""
    try:
        descriptors = os.listdir("/dev/fd")
    except OSError:
        return None
    return sum(map(_is_socket, descriptors))


def _is_socket(descriptor: str) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(int(descriptor)).st_mode)
    except OSError:  # closed meanwhile: that of the listing itself
        return False


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextmanager
def captured_log(lines: list[str]) -> Iterator[None]:
    """Add every line that is logged in here, at any level, to ``lines``."""
    root = logging.getLogger()
    collector, level = _Collector(lines), root.level
    root.addHandler(collector)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(collector)


@contextmanager
def captured_warnings(texts: list[str]) -> Iterator[None]:
    """Add what is left to the garbage collector in here, as Python and trio warn of it, to ``texts``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts += [str(each.message) for each in caught if issubclass(each.category, (ResourceWarning, RuntimeWarning))]
