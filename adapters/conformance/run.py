"""Runs one program with one adapter, in one trio run, and notes what is seen."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
import trio.testing

from statemachine.config.adapter import Adapter, AdapterConfig
from statemachine.errors import AdapterError
from statemachine.schedules.cancelling import Cancelling

from .asking import ask, prompt_of
from .managed import run_agents
from .observe import LoopWatch, captured_log, captured_warnings, socket_count, task_names
from .phases import next_phase
from .program import Agents, Call, Operation, Program, Shutdown, Start, Together
from .standstill import Standstill, run_unless_stuck
from .subject import Subject, SubjectFactory
from .trace import METHODS, CallRun, Left, OperationRun, ProgramRun

__all__ = ["BLOCKED_SECONDS", "perform"]

BLOCKED_SECONDS: Final = 0.25
_TIMES_SEEN: Final = 3
_SETTLE_SECONDS: Final = 2.0
_SETTLE_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 20.0


def perform(make: SubjectFactory, program: Program) -> ProgramRun:
    """Run ``program``. A held-up event loop counts when it is seen three times, so such a program runs three times.

    Raises what the subject's server raises, and what the adapter's construction raises.
    """
    runs = [_perform_once(make, program)]
    while runs[-1].longest_step > BLOCKED_SECONDS and len(runs) < _TIMES_SEEN and not runs[-1].stuck:
        runs.append(_perform_once(make, program))
    runs[0].longest_step = min(run.longest_step for run in runs)
    return runs[0]


def _perform_once(make: SubjectFactory, program: Program) -> ProgramRun:
    subject = make()
    run = ProgramRun(program, subject.capabilities, secrets=subject.secrets)
    clock = trio.testing.MockClock(autojump_threshold=0) if subject.capabilities.deterministic_clock else None
    failures: list[Exception] = []
    watch, standstill = LoopWatch(), Standstill(virtual=subject.capabilities.deterministic_clock)

    def whole() -> None:
        with watch:
            trio.run(_serve, subject, run, standstill, failures, clock=clock, instruments=[watch, standstill])

    with captured_log(run.shown), captured_warnings(run.warnings):
        run_unless_stuck(whole, standstill)
    if failures:
        raise failures[0]
    run.longest_step = watch.longest
    run.spun = standstill.spun
    if standstill.stuck:
        run.longest_step = watch.under_way()  # it is run once, so what has ended again may have been this machine's
        _note_stuck(run)
    return run


def _note_stuck(run: ProgramRun) -> None:
    """Note what is known of a program that had to be left behind. Raises RuntimeError where not even its construction has ended."""
    run.stuck = True
    if isinstance(run.program[0], Agents):
        run.manager_error = AdapterError("the manager cannot be closed: an adapter goes on after it was cancelled")
    elif run.steps:
        step = run.steps[-1]
        step.stuck = step.overdue = True
        for answer in step.answers:
            answer.ended = "overdue" if answer.ended == "cancelled" else answer.ended
    else:
        raise RuntimeError("the construction of the adapter does not come to an end")


async def _serve(subject: Subject, run: ProgramRun, standstill: Standstill, failures: list[Exception]) -> None:
    async with subject.serving(), trio.open_nursery() as nursery:
        nursery.start_soon(_live, subject, run, standstill, failures)


async def _live(subject: Subject, run: ProgramRun, standstill: Standstill, failures: list[Exception]) -> None:
    """Run the program, as its own task: whatever task is below it is the adapter's."""
    try:
        await _Execution(subject, run, standstill).whole()
    except Exception as error:
        failures.append(error)


class _Execution:
    """One adapter and what is done to it."""

    def __init__(self, subject: Subject, run: ProgramRun, standstill: Standstill) -> None:
        self._subject = subject
        self._run = run
        self._standstill = standstill
        self._capabilities = subject.capabilities
        self._task = trio.lowlevel.current_task()
        self._asked = 0
        self._adapter: Adapter
        self._base: Left

    async def whole(self) -> None:
        self._base = await self._look()
        self._run.told = self._told()
        if isinstance(self._run.program[0], Agents):
            await run_agents(self._subject, self._run, self._run.program[0], self._patience)
            self._run.manager_left = await self._left_by_manager()
            return
        requests = self._subject.requests() or 0
        self._adapter = await self._construct()
        self._run.told |= {name for name in METHODS if callable(getattr(self._adapter, name, None))}
        self._run.requests_at_construction = (self._subject.requests() or 0) - requests
        for operation in self._run.program:
            await self._step(operation)
        if not self._is_down:
            await self._step(Shutdown())
        self._run.shown.append(repr(self._adapter))

    def _told(self) -> frozenset[str]:
        subject = self._subject
        parts = {
            "probe_resident": self._base.resident,
            "connections": self._base.connections,
            "requests": subject.requests(),
            "pieces_sent": subject.pieces_sent(),
        }
        return frozenset(name for name, told in parts.items() if told is not None)

    @property
    def _phase(self) -> Any:
        if not self._run.steps:
            return "new"
        return next_phase(self._run.steps[-1], self._run.told)

    @property
    def _is_down(self) -> bool:
        return any(isinstance(step.operation, Shutdown) and not step.cancelled for step in self._run.steps)

    async def _construct(self) -> Adapter:
        subject = self._subject
        config = AdapterConfig("subject", subject.models[0], dict(subject.options))
        adapter = subject.adapter(config)
        after = await self._settled()
        self._run.construction = OperationRun(Start(), "new", self._base, self._base, after)
        self._run.shown.append(repr(adapter))
        return adapter

    async def _step(self, operation: Operation) -> None:
        before = await self._look()
        step = OperationRun(operation, self._phase, before, before, before)
        self._run.steps.append(step)
        async with self._fault(step):
            step.planted = before if step.fault is None else await self._look()
            await self._guarded(step, lambda: self._operate(step))
        if isinstance(operation, Together):
            await self._reference(step)
        step.after = await self._settled(sockets=isinstance(operation, Shutdown))

    @asynccontextmanager
    async def _fault(self, step: OperationRun) -> AsyncIterator[None]:
        faults = self._subject.server_faults()
        if step.fault is None:
            yield
        else:
            async with faults[step.fault]():
                yield

    # ---- bounds and cancellation ----

    @property
    def _patience(self) -> float:
        """Seconds after which an operation counts as hanging: above every time-out that is declared."""
        declared = (self._capabilities.silence_seconds or 0, self._capabilities.shutdown_seconds)
        return 2 * max(declared) + _PATIENCE_SECONDS if self._capabilities.deterministic_clock else max(declared) + 5

    async def _guarded(self, step: OperationRun, action: Callable[[], Awaitable[None]]) -> None:
        began = trio.current_time()
        seconds = self._patience + getattr(step.operation, "linger", 0)
        with trio.move_on_after(seconds) as guard:
            self._standstill.begin(guard, seconds)
            cancel_at = getattr(step.operation, "cancel_at", None)
            deadline = getattr(step.operation, "deadline", None)
            if cancel_at is not None:
                await self._cancelled(step, action, cancel_at)
            elif deadline is not None:
                await self._until(step, action, deadline)
            else:
                await action()
        self._standstill.end()
        step.overdue = guard.cancelled_caught
        step.seconds = trio.current_time() - began
        for answer in step.answers:
            if step.overdue and answer.ended == "cancelled":
                answer.ended = "overdue"

    async def _cancelled(self, step: OperationRun, action: Callable[[], Awaitable[None]], cancel_at: int) -> None:
        cancelling, completed = Cancelling(cancel_at), False
        trio.lowlevel.add_instrument(cancelling)
        try:
            with cancelling.scope():
                await action()
                completed = True
        except AssertionError:
            step.swallowed = completed
        except BaseExceptionGroup as group:  # what was raised beside the cancellation
            step.error = group
        finally:
            trio.lowlevel.remove_instrument(cancelling)
        step.cancelled = not completed
        step.aimed = cancelling.cancelled_at is not None
        step.late = trio.current_time() - (cancelling.cancelled_at or math.inf)

    async def _until(self, step: OperationRun, action: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Do ``action``, and cancel it after ``seconds``, as a time-out of the caller does."""
        completed = False
        try:
            with trio.move_on_after(seconds) as scope:
                await action()
                completed = True
        except BaseExceptionGroup as group:  # what was raised beside the cancellation
            step.error = group
        step.cancelled = not completed
        step.aimed = scope.cancel_called
        step.late = trio.current_time() - scope.deadline

    # ---- operations ----

    async def _operate(self, step: OperationRun) -> None:
        operation = step.operation
        if isinstance(operation, Start):
            await self._await(step, "start")
        elif isinstance(operation, Shutdown):
            await self._await(step, "shutdown")
        elif isinstance(operation, Call):
            await self._ask(step, operation)
        elif isinstance(operation, Together):
            barrier = _Barrier(len(operation.calls)) if operation.hold else None
            async with trio.open_nursery() as nursery:
                for call in operation.calls:
                    nursery.start_soon(self._ask, step, call, barrier)

    async def _await(self, step: OperationRun, method: str) -> None:
        try:
            if callable(function := getattr(self._adapter, method, None)):
                await function()
        except Exception as error:
            step.error = error

    async def _ask(self, step: OperationRun, call: Call, barrier: _Barrier | None = None) -> None:
        self._asked += 1
        answer = CallRun(call, prompt_of(self._asked, call, tools=self._capabilities.tool_calls))
        answer.model = self._subject.models[0]
        answer.seen = self._standstill.event_seen
        step.answers.append(answer)
        try:
            await ask(self._subject, self._adapter, answer, None if barrier is None else barrier.arrive)
        finally:
            answer.expected = self._subject.expected_text(answer.prompt)
            answer.heard = self._subject.heard(answer.prompt)
            told = {"expected_text": answer.expected, "heard": answer.heard}
            self._run.told |= {name for name, value in told.items() if value is not None}

    async def _reference(self, step: OperationRun) -> None:
        """Ask for each answer again, alone, where nothing else says what it should be."""
        if not self._capabilities.repeatable or step.overdue:
            return
        for answer in step.answers:
            if answer.expected is None:
                alone = CallRun(answer.call, answer.prompt)
                with trio.move_on_after(self._patience):
                    await ask(self._subject, self._adapter, alone)
                answer.expected = alone.text

    # ---- what is left ----

    async def _look(self) -> Left:
        resident = await self._subject.probe_resident()
        return Left(
            task_names(self._task),
            socket_count(),
            self._subject.connections(),
            None if resident is None else frozenset(resident),
        )

    async def _settled(self, *, sockets: bool = False) -> Left:
        """Return what is there when what was ended has had time to end. ``sockets``: those, too, of a server in this process as well."""
        deadline = time.monotonic() + _SETTLE_SECONDS if not self._capabilities.deterministic_clock else math.inf
        polls = round(_SETTLE_SECONDS / _SETTLE_POLL_SECONDS)
        while polls and time.monotonic() < deadline:
            left = await self._look()
            if not left.beyond(self._base) and not (sockets and left.more_sockets(self._base) > 0):
                return left
            await trio.sleep(_SETTLE_POLL_SECONDS)
            polls -= 1
        return await self._look()

    async def _left_by_manager(self) -> list[str]:
        left = await self._settled()
        more = left.beyond(self._base)
        if left.resident is not None and self._base.resident is not None and left.resident - self._base.resident:
            more.append("a model that is still loaded")
        return more


class _Barrier:
    """Lets everyone pass once all have arrived."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._open = trio.Event()

    async def arrive(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._open.set()
        await self._open.wait()
