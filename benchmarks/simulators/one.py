"""One simulator on one number of customers, as a process of its own: seconds of processor time, memory, and the mean wait it finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from statistics import fmean

from .customers import Customers, Visit


def simulate(target: str, count: int, switch_thousandths: int) -> Callable[[], dict[str, float]]:
    """A round of ``module:function``, which makes visits of customers."""
    module, _, function = target.partition(":")
    run: Callable[[Customers], Iterable[Visit]] = getattr(import_module(module), function)
    who = Customers.drawn(count, switch_seconds=switch_thousandths / 1000)
    run(Customers.drawn(10))  # what is imported late is imported by now

    def make_round() -> dict[str, float]:
        before = _peak_kib(reset=True)
        began = time.process_time()
        visits = run(who)
        seconds = time.process_time() - began
        wait = fmean(begun - came for came, begun, _ in visits)
        return {"seconds": seconds, "mib": (_peak_kib() - before) / 1024, "mean_wait": wait}

    return make_round


def _peak_kib(*, reset: bool = False) -> int:
    """The most that this process has had in memory (Linux), from now on where ``reset``."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
