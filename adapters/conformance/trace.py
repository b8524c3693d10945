"""What was seen in one run of a program. The rules judge this, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from statemachine.config.call import Message
from statemachine.errors import AdapterError

from .program import Call, Operation, Program, Start
from .subject import Capabilities, Heard

__all__ = ["METHODS", "CallRun", "Left", "OperationRun", "Phase", "ProgramRun"]

METHODS: Final = ("start", "shutdown")
"""They are optional. Those that an adapter has are told like the parts of the back door."""

Phase: TypeAlias = Literal["new", "ready", "failed", "lost", "down", "undefined"]
"""Where an adapter is in its life. ``failed``: its start failed or was cancelled; ``lost``: its instance is of no more use;
``undefined``: its shutdown did not complete, or it was started again after it; nothing is promised of that."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is there at one moment. None: it cannot be told."""

    tasks: frozenset[str]
    sockets: int | None
    connections: int | None
    resident: frozenset[str] | None

    def beyond(self, before: Left) -> list[str]:
        """Return what is there now and was not before, in words, but for what is loaded."""
        tasks = sorted(self.tasks - before.tasks)
        more = [f"the task {task}" for task in tasks]
        if self.connections and (calls := self.connections - (before.connections or 0)) > 0:
            more.append(f"{calls} call(s) that the server is still answering")
        return more

    def more_sockets(self, before: Left) -> int:
        """Return how many sockets there are more than before."""
        return 0 if self.sockets is None or before.sockets is None else self.sockets - before.sockets


@dataclass
class CallRun:
    """One call, and what came of it. ``closed`` early, ``cancelled``, or ``overdue``: it had to be given up on."""

    call: Call
    prompt: Sequence[Message]
    events: list[Any] = field(default_factory=list)
    after: list[Any] = field(default_factory=list)  # what came after the closing event
    error: BaseException | None = None  # what was raised
    closing_error: BaseException | None = None
    ended: Literal["read", "closed", "cancelled", "overdue"] = "cancelled"
    expected: str | None = None
    sent_ahead: int | None = None  # pieces sent to a reader that had stopped
    sent: int | None = None  # pieces sent by the time it was closed
    changed: str | None = None  # which argument the adapter has changed
    seconds: float = 0.0
    model: str = ""  # the one that was asked
    heard: Heard | None = None  # what the server has understood
    seen: Callable[[], None] = lambda: None  # to be called at each event

    @property
    def terminal(self) -> Any:
        """The closing event, if there was one."""
        last = self.events[-1] if self.events else None
        return last if getattr(last, "type", None) in ("end", "error") else None

    @property
    def failure(self) -> BaseException | None:
        """Why it failed: what was raised, or what its ``error`` event carries."""
        if self.error is not None:
            return self.error
        terminal = self.terminal
        if terminal is None or terminal.type != "error":
            return None
        return terminal.data if isinstance(terminal.data, BaseException) else AdapterError("an error without a cause")

    @property
    def text(self) -> str:
        """Its tokens, joined."""
        tokens = (event.data for event in self.events if getattr(event, "type", None) == "token")
        return "".join(token for token in tokens if isinstance(token, str))

    @property
    def pieces(self) -> int:
        """How many events of the answer itself there were."""
        return sum(getattr(event, "type", None) in ("token", "reasoning", "tool_call") for event in self.events)


@dataclass
class OperationRun:
    """One operation. ``phase`` is the adapter's before it."""

    operation: Operation
    phase: Phase
    before: Left
    planted: Left  # with the server's fault, just before the operation
    after: Left
    answers: list[CallRun] = field(default_factory=list)
    error: BaseException | None = None
    aimed: bool = False  # its cancellation was asked for before it was over
    cancelled: bool = False
    swallowed: bool = False  # it was cancelled, and completed all the same
    overdue: bool = False
    stuck: bool = False  # it went on after it was cancelled, and its program had to be left behind
    seconds: float = 0.0
    late: float = 0.0  # the seconds between its cancellation and its end

    @property
    def fault(self) -> str | None:
        """What the server did wrong meanwhile."""
        return getattr(self.operation, "fault", None)

    @property
    def cancels(self) -> bool:
        """Whether a cancellation was aimed at it."""
        return any(getattr(self.operation, name, None) is not None for name in ("cancel_at", "deadline"))

    @property
    def failures(self) -> Iterator[BaseException]:
        """Every error that the adapter gave to its caller."""
        if self.error is not None:
            yield self.error
        for answer in self.answers:
            if answer.failure is not None:
                yield answer.failure

    @property
    def completed(self) -> bool:
        """It was neither cancelled nor given up on, and raised nothing."""
        return self.error is None and not (self.cancelled or self.overdue or self.swallowed)


@dataclass
class ProgramRun:
    """One run of a program. Times are in seconds of its clock, but for ``longest_step``, which is real."""

    program: Program
    capabilities: Capabilities
    construction: OperationRun | None = None
    steps: list[OperationRun] = field(default_factory=list)
    visits: list[CallRun] = field(default_factory=list)  # of agents, through a manager
    manager_error: BaseException | None = None
    manager_left: list[str] | None = None
    requests_at_construction: int = 0
    longest_step: float = 0.0  # real seconds for which the event loop was held up
    spun: bool = False  # an operation waited in a busy loop
    stuck: bool = False  # it could not be ended
    shown: list[str] = field(default_factory=list)  # reprs and logs
    warnings: list[str] = field(default_factory=list)
    secrets: tuple[str, ...] = ()
    told: frozenset[str] = frozenset()  # the parts of the back door that tell something, and METHODS

    @property
    def answers(self) -> Iterator[tuple[OperationRun, CallRun]]:
        """Every call, with its step."""
        for step in self.steps:
            for answer in step.answers:
                yield step, answer

    @property
    def begun_well(self) -> bool:
        """Whether its first start completed without a fault, and nothing was cancelled or given up on after it."""
        starts = [step for step in self.steps if isinstance(step.operation, Start)]
        untroubled = not any(step.cancelled or step.cancels or step.overdue for step in self.steps)
        return bool(starts) and starts[0].completed and starts[0].phase == "new" and untroubled
