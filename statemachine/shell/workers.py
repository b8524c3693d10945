"""Worker processes: tasks spread over all cores, and ended at once when the command is interrupted or fails."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["completed", "processes", "submitted"]

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


@contextmanager
def processes(
    jobs: int, prepare: Callable[..., None] | None = None, *arguments: Any, tasks_each: int | None = None
) -> Iterator[Executor]:
    """Yield an executor of ``jobs`` processes, each of which calls ``prepare(*arguments)`` first and ends after ``tasks_each`` tasks.

    Processes are spawned, because a fork would copy locks that other threads hold. They are killed when the block raises.
    """
    others = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, spawn, prepare, arguments, max_tasks_per_child=tasks_each)
    try:
        yield pool
    except BaseException:
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        pool.shutdown()  # a killed pool fails what is left; to cancel it as well makes Python 3.11 print a traceback


def completed(
    pool: Executor, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
) -> Iterator[tuple[TaskT, ResultT]]:
    """Yield each task with its result, in the order in which they are ready. Raises what ``function`` raises."""
    pending: dict[Future[ResultT], TaskT] = {submitted(pool, function, task): task for task in tasks}
    for future in as_completed(pending):
        yield pending[future], future.result()


def submitted(pool: Executor, function: Callable[..., ResultT], *arguments: Any) -> Future[ResultT]:
    """Submit a task, and return its future. Processes that are started for it never see Ctrl-C: only the parent is interrupted."""
    with _interrupts_held():
        return pool.submit(function, *arguments)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold back Ctrl-C while processes are started: they inherit that, so only the parent is ever interrupted."""
    if sys.platform == "win32":
        yield
        return
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
