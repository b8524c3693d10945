"""The protocol as a small machine: where an adapter is in its life, after each operation.

::

    new ──start──> ready ──shutdown──> down ──start──> undefined
     │               │ ^
     │ start fails   │ └ calls, whole, failed or cancelled
     v               v a call's error says that the instance is broken, or the model was taken away
    failed          lost             a shutdown that does not complete leads to undefined
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from .faults import FAULTS
from .program import Shutdown, Start
from .trace import OperationRun, Phase, ProgramRun

__all__ = ["next_phase", "takes_calls", "told_to_fail"]

_TAKES_MODEL: Final = ("evicted",)


def next_phase(step: OperationRun, told: Collection[str]) -> Phase:
    """Return where the adapter is after ``step``. ``told`` has the optional methods of the adapter."""
    if isinstance(step.operation, Start):
        return _after_start(step, has_start="start" in told)
    if isinstance(step.operation, Shutdown):
        return _after_shutdown(step) if "shutdown" in told else step.phase
    broken = any(getattr(error, "broken", False) is True for error in step.failures)
    if step.phase in ("new", "ready") and (broken or step.fault in _TAKES_MODEL or step.overdue):
        return "lost"
    return step.phase


def _after_start(step: OperationRun, *, has_start: bool) -> Phase:
    if step.phase == "new":
        well = step.completed and not told_to_fail(step)
        return "ready" if well or not has_start else "failed"
    if step.phase == "ready":
        return "ready" if step.completed else "undefined"
    return "undefined" if step.phase == "down" else step.phase


def _after_shutdown(step: OperationRun) -> Phase:
    """Return the phase after a shutdown: a manager calls it once, and gives up on one that did not complete."""
    return "down" if step.completed and step.phase != "undefined" else "undefined"


def takes_calls(run: ProgramRun, step: OperationRun) -> bool:
    """Return whether a call in this step is promised an answer. Before a start, only an adapter that has none promises it."""
    return step.phase == "ready" or (step.phase == "new" and "start" not in run.told)


def told_to_fail(step: OperationRun, names: Sequence[str] | None = None) -> bool:
    """Return whether the server does wrong in this step in a way that must fail it (``names``: one of these ways)."""
    fault = None if step.fault is None else FAULTS[step.fault]
    return fault is not None and fault.fails and (names is None or fault.name in names)
