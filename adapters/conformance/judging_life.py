"""Judges of an adapter's life: construction, start, shutdown, cancellation, and life behind a manager."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from statemachine.errors import AdapterError, ModelEvictedError, ProviderManagerError

from .program import Agents, Shutdown, Start
from .trace import OperationRun, ProgramRun

__all__ = [
    "call_after_shutdown",
    "cancel_is_prompt",
    "cancel_leaks_nothing",
    "cancel_not_swallowed",
    "construct_no_effect",
    "failed_start_is_error",
    "foreign_stays",
    "manager_properties",
    "no_blocking",
    "no_busy_wait",
    "no_leftovers",
    "shutdown_after_anything",
    "shutdown_bounded",
    "shutdown_idempotent",
    "shutdown_leaves_nothing",
    "start_before_call",
    "start_idempotent",
    "start_succeeds",
    "unload_unloads",
]

BLOCKED_SECONDS = 0.25
PROMPT_SECONDS = 5.5
"""What closing a connection may take, shielded (5 s), and a moment."""


def named(error: BaseException | None) -> str:
    """Return the error's type, and its message where it has one."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def how(step: OperationRun) -> str:
    """Tell how a step that should have completed has not."""
    return "hangs" if step.overdue else f"raises {named(step.error)}"


def construct_no_effect(run: ProgramRun) -> Iterator[str | None]:
    if run.construction is None:
        return
    before, after = run.construction.before, run.construction.after
    more = after.beyond(before)
    if after.more_sockets(before) > 0:
        more.append("a socket")
    if run.requests_at_construction:
        more.append("a request to the server")
    if (after.resident or frozenset()) - (before.resident or frozenset()):
        more.append("a loaded model")
    yield f"after construction there is {', '.join(more)}" if more else None


def _starts(run: ProgramRun, phase: str) -> Iterator[OperationRun]:
    for step in run.steps:
        if isinstance(step.operation, Start) and step.phase == phase and not (step.cancelled or step.aimed):
            yield step


def start_succeeds(run: ProgramRun) -> Iterator[str | None]:
    for step in _starts(run, "new"):
        if step.fault in (None, "foreign"):
            yield None if step.completed else f"start {how(step)} on a healthy server"


def start_idempotent(run: ProgramRun) -> Iterator[str | None]:
    for step in _starts(run, "ready"):
        if step.fault is not None:
            continue
        if not step.completed:
            yield f"the second start {how(step)}"
        elif step.after.resident != step.before.resident:
            yield "the second start changes what is loaded"
        else:
            yield None


def failed_start_is_error(run: ProgramRun) -> Iterator[str | None]:
    for step in _starts(run, "new"):
        if step.fault == "load_fails" and not _asked_before(run, step):
            yield "start succeeds though the load failed" if step.completed else None


def _asked_before(run: ProgramRun, step: OperationRun) -> bool:
    """Return whether a call came before: it may have loaded already, and then nothing is left to fail."""
    return any(other.answers for other in takewhile(lambda other: other is not step, run.steps))


def _typed_refusals(run: ProgramRun, phase: str, when: str) -> Iterator[str | None]:
    for step in run.steps:
        for answer in step.answers if step.phase == phase and not step.cancels else ():
            if answer.ended == "closed" and not answer.pieces:
                continue  # what would have followed is not known
            if answer.ended == "overdue" and getattr(step.operation, "hold", False):
                continue  # the calls beside it were held open, which may be why: parallel-as-declared tells
            if answer.ended == "overdue":
                yield f"a call {when} hangs"
            elif answer.failure is None and answer.ended != "cancelled":
                yield f"a call {when} is answered"
            elif not isinstance(answer.failure, (AdapterError, ProviderManagerError)):
                yield f"a call {when} raises {named(answer.failure)}, which is no AdapterError"
            else:
                yield None


def start_before_call(run: ProgramRun) -> Iterator[str | None]:
    yield from _typed_refusals(run, "new", "before start")


def call_after_shutdown(run: ProgramRun) -> Iterator[str | None]:
    yield from _typed_refusals(run, "down", "after shutdown")


def _shutdowns(run: ProgramRun, *phases: str) -> Iterator[OperationRun]:
    for step in run.steps:
        if isinstance(step.operation, Shutdown) and step.phase in phases and not step.cancelled:
            yield step


def shutdown_idempotent(run: ProgramRun) -> Iterator[str | None]:
    for step in _shutdowns(run, "down"):
        if step.fault is None:
            yield None if step.completed else f"the second shutdown {how(step)}"


def shutdown_after_anything(run: ProgramRun) -> Iterator[str | None]:
    for step in _shutdowns(run, "new", "failed"):
        if step.fault is not None:
            continue
        starts = [s for s in run.steps if isinstance(s.operation, Start)]
        start = starts[0] if starts else None
        state = "never began" if start is None else "was cancelled" if start.cancelled else "failed"
        lost = start is not None and (start.fault == "load_silent" or (start.fault == "load_fails" and start.cancelled))
        unsure = lost and isinstance(step.error, AdapterError)
        if not step.completed and not unsure:  # it may say that it does not know what became of the load
            yield f"shutdown {how(step)} after a start that {state}"
        elif start is not None and not any(s.cancelled or s.completed for s in starts) and _still_loaded(run, step):
            yield "after a start that failed, shutdown leaves a model loaded"
        else:
            yield None


def shutdown_bounded(run: ProgramRun) -> Iterator[str | None]:
    for step in _shutdowns(run, "ready"):
        if step.fault in ("unload_silent", "unload_lost"):
            most = run.capabilities.shutdown_seconds
            late = step.overdue or step.seconds > most * 1.05 + 0.5
            yield f"shutdown is not over after {most:g} s while the server is silent" if late else None


def shutdown_leaves_nothing(run: ProgramRun) -> Iterator[str | None]:
    """Judge what is left after a shutdown. Where something was cancelled, another rule looks at it."""
    if any(step.cancelled or step.overdue or step.cancels for step in run.steps) or run.construction is None:
        return
    for step in _shutdowns(run, "new", "ready", "failed", "lost"):
        base = run.construction.before
        more = step.after.beyond(base)
        if step.after.more_sockets(base) > 0:
            more.append(f"{step.after.more_sockets(base)} socket(s)")
        yield f"after shutdown there is {', '.join(more)}" if more else None


def _still_loaded(run: ProgramRun, step: OperationRun) -> bool:
    before = run.construction.before.resident if run.construction is not None else None
    foreign = any(s.fault == "foreign" for s in run.steps)
    return not foreign and step.after.resident is not None and bool(step.after.resident - (before or frozenset()))


def unload_unloads(run: ProgramRun) -> Iterator[str | None]:
    if not run.begun_well or any(step.fault in ("foreign", "evicted") for step in run.steps):
        return
    for step in _shutdowns(run, "ready"):
        if step.fault in (None, "unload_lost"):
            yield "the model is still loaded after shutdown" if _still_loaded(run, step) else None


def foreign_stays(run: ProgramRun) -> Iterator[str | None]:
    starts = [step for step in _starts(run, "new") if step.fault == "foreign"]
    if not starts:
        return
    foreign = (starts[0].planted.resident or frozenset()) - (starts[0].before.resident or frozenset())
    for step in _shutdowns(run, "ready"):
        gone = foreign - (step.after.resident or frozenset())
        yield "shutdown unloads what another program has loaded" if gone else None


def cancel_not_swallowed(run: ProgramRun) -> Iterator[str | None]:
    for step in run.steps:
        if step.stuck:
            yield f"{_name(step)} goes on after it was cancelled, and cannot be ended"
        elif step.cancelled or step.swallowed:
            yield f"{_name(step)} completes though it was cancelled" if step.swallowed else None


def cancel_is_prompt(run: ProgramRun) -> Iterator[str | None]:
    for step in run.steps:
        if step.aimed and not step.stuck:
            late = step.late > PROMPT_SECONDS
            yield f"{_name(step)} ends {step.late:.0f} s after it was cancelled" if late else None


def _name(step: OperationRun) -> str:
    return type(step.operation).__name__.lower()


def cancel_leaks_nothing(run: ProgramRun) -> Iterator[str | None]:
    cancelled = [step for step in run.steps if step.cancelled]
    if not cancelled or run.construction is None:
        return
    for step in cancelled:
        more = step.after.beyond(step.before)
        yield f"after a cancelled {type(step.operation).__name__.lower()} there is {', '.join(more)}" if more else None
    if not run.capabilities.loads_models or any(isinstance(step.operation, Shutdown) for step in cancelled):
        return
    if any(step.answers and step.phase != "ready" for step in run.steps):
        return  # such a call may have made the server load
    for step in _shutdowns(run, "ready", "failed"):
        if step.completed and step.fault is None:
            yield "after a cancellation and a shutdown the model is still loaded" if _still_loaded(run, step) else None


def no_blocking(run: ProgramRun) -> Iterator[str | None]:
    blocked = run.longest_step > BLOCKED_SECONDS
    yield f"the event loop was held up for {1000 * run.longest_step:.0f} ms" if blocked else None


def no_busy_wait(run: ProgramRun) -> Iterator[str | None]:
    if not run.stuck:
        yield "it takes step after step without an end, and waits for nothing" if run.spun else None


def no_leftovers(run: ProgramRun) -> Iterator[str | None]:
    yield from run.warnings
    if not run.warnings:
        yield None


def manager_properties(run: ProgramRun) -> Iterator[str | None]:
    if not isinstance(run.program[0], Agents):
        return
    if not run.capabilities.local and any(isinstance(answer.error, ModelEvictedError) for answer in run.visits):
        return  # a server that holds one model at a time, and is not declared local: it takes models away, not the adapter
    if run.manager_error is not None:
        yield named(run.manager_error)
    for answer in run.visits:
        if answer.ended == "overdue":
            yield "an agent waits without end"
        elif answer.error is not None:
            yield f"an agent's call fails with {named(answer.error)}"
        elif answer.ended == "read" and answer.expected is not None and answer.text != answer.expected:
            yield "an agent gets another answer than the server's"
        else:
            yield None
    if run.manager_left:
        yield f"when the manager has closed there is {', '.join(run.manager_left)}"
