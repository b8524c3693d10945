"""How long the event loop is held up: by a step that blocks, not by other programs on a busy machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from adapters.conformance.observe import LoopWatch


def longest_step(step: Callable[[], object]) -> float:
    async def run() -> None:
        await trio.lowlevel.checkpoint()
        step()
        await trio.lowlevel.checkpoint()

    with LoopWatch() as watch:
        trio.run(run, instruments=[watch])
    return watch.longest


def work(seconds: float) -> None:
    """Compute for that long, in time of the processor's."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_step_that_blocks_is_seen() -> None:
    assert longest_step(lambda: time.sleep(0.1)) >= 0.1
    assert longest_step(lambda: work(0.1)) >= 0.1


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the system does not tell who waited")
def test_a_step_that_has_to_wait_for_a_processor_does_not_count_as_blocking() -> None:
    busy = "import time\nwhile True: pass"
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})  # the others inherit it
    others = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(4)]
    try:
        began = time.perf_counter()
        longest = longest_step(lambda: work(0.2))
        whole = time.perf_counter() - began
    finally:
        os.sched_setaffinity(0, usual)
        for other in others:
            other.kill()
            other.wait()
    assert whole > 0.4, "the others had the processor most of the time"
    assert 0.2 <= longest < 0.2 + (whole - 0.2) / 2
