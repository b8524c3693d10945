"""Judges of calls: the stream, its events, what they join to, and calls at the same time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from statemachine.config.call import Message, StreamEvent, ToolCall
from statemachine.errors import AdapterError

from .faults import FAULTS
from .judging_life import named
from .phases import takes_calls
from .program import Call, Together
from .trace import CallRun, OperationRun, ProgramRun

__all__ = [
    "answer_complete",
    "arguments_unchanged",
    "back_pressure",
    "calls_do_not_mix",
    "early_close_frees",
    "end_frees",
    "event_types",
    "model_as_asked",
    "no_repeat",
    "parallel_as_declared",
    "prompt_reaches_server",
    "stream_order",
    "tool_calls_whole",
    "whole_stream_is_no_error",
]

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "token": (str,),
    "reasoning": (str,),
    "tool_call": (ToolCall,),
    "metadata": (Mapping,),
    "error": (AdapterError,),
    "end": (str, type(None)),
}


def _whole(run: ProgramRun) -> Iterator[tuple[OperationRun, CallRun]]:
    """Yield the answers of a healthy server that were read to their end, one call at a time."""
    for step, answer in run.answers:
        healthy = not step.cancels and (step.fault is None or not FAULTS[step.fault].fails)
        if (
            healthy
            and takes_calls(run, step)
            and isinstance(step.operation, Call)
            and answer.ended in ("read", "overdue")
        ):
            yield step, answer


def stream_order(run: ProgramRun) -> Iterator[str | None]:
    for _, answer in run.answers:
        if answer.after:
            yield f"after the closing event comes {_type(answer.after[0])!r}"
        elif answer.terminal is not None:
            yield None
        elif answer.ended == "read" and answer.error is None:
            yield "the stream stops without end or error"


def _type(event: Any) -> str:
    return str(getattr(event, "type", type(event).__name__))


def event_types(run: ProgramRun) -> Iterator[str | None]:
    for _, answer in run.answers:
        for event in (*answer.events, *answer.after):
            yield event_fault(event)


def event_fault(event: Any) -> str | None:
    if not isinstance(event, StreamEvent):
        return f"a {type(event).__name__} comes in place of a StreamEvent"
    kinds = _KINDS.get(event.type)
    if kinds is None:
        return f"there is no event type {event.type!r}"
    if not isinstance(event.data, kinds):
        return f"the data of {event.type!r} is of type {type(event.data).__name__}"
    if isinstance(event.data, ToolCall) and (fault := _tool_fault(event.data)) is not None:
        return fault
    texts = [event.data] if isinstance(event.data, str) else []
    if any("\ud800" <= character <= "\udfff" for text in texts for character in text):
        return f"the text of {event.type!r} cannot be encoded (half of a surrogate pair)"
    return None


def _tool_fault(call: ToolCall) -> str | None:
    if not isinstance(call.index, int) or isinstance(call.index, bool):
        return f"a tool call's index is of type {type(call.index).__name__}"
    if not isinstance(call.arguments, str):
        return f"a tool call's arguments are of type {type(call.arguments).__name__}, not JSON text"
    if not all(text is None or isinstance(text, str) for text in (call.id, call.name)):
        return "a tool call's id or name is no text"
    return None


def tool_calls_whole(run: ProgramRun) -> Iterator[str | None]:
    for _, answer in _whole(run):
        calls: dict[int, list[ToolCall]] = {}
        for event in answer.events:
            if isinstance(event, StreamEvent) and isinstance(event.data, ToolCall):
                calls.setdefault(event.data.index, []).append(event.data)
        for pieces in calls.values():
            yield _joined_fault(pieces)
        if answer.call.tools and answer.ended == "read" and answer.failure is None and not calls:
            yield "an offered tool is not called"


def _joined_fault(pieces: list[ToolCall]) -> str | None:
    if not any(piece.name for piece in pieces):
        return "a tool call has no name"
    if len({piece.id for piece in pieces if piece.id}) > 1:
        return "two tool calls share one index"
    text = "".join(piece.arguments for piece in pieces if isinstance(piece.arguments, str))
    try:
        json.loads(text or "{}")
    except ValueError:
        return f"the arguments of a tool call join to {text[:60]!r}, which is not JSON"
    return None


def answer_complete(run: ProgramRun) -> Iterator[str | None]:
    for _, answer in _whole(run):
        if answer.expected is not None and not answer.call.tools and answer.failure is None:
            same = answer.text == answer.expected
            yield None if same else f"the server sent {answer.expected[:60]!r}, the tokens join to {answer.text[:60]!r}"


def prompt_reaches_server(run: ProgramRun) -> Iterator[str | None]:
    for _, answer in _whole(run):
        if answer.heard is not None and answer.heard.texts is not None and answer.failure is None:
            yield _prompt_fault(list(_marks(answer.prompt)), "\n".join(answer.heard.texts))


def _marks(prompt: Sequence[Message]) -> Iterator[str]:
    """Yield what is each message's own."""
    for message in prompt:
        texts = [call["function"]["arguments"] for call in message.get("tool_calls", ())] or [message["content"]]
        for text in texts:
            marked = re.search(r"mark-\d+-\d+\.|prompt-\d+", text)
            yield text if marked is None else marked[0]


def _prompt_fault(marks: list[str], heard: str) -> str | None:
    places = [heard.find(mark) for mark in marks]
    if -1 in places:
        return f"of {len(marks)} messages and tool calls, number {places.index(-1) + 1} does not reach the server"
    if places != sorted(places):
        return "the messages reach the server in another order"
    twice = any(heard.count(mark) > 1 for mark in marks)
    return "a message reaches the server twice" if twice else None


def model_as_asked(run: ProgramRun) -> Iterator[str | None]:
    for answer in (*(answer for _, answer in _whole(run)), *run.visits):
        if answer.heard is not None and answer.heard.model is not None and answer.failure is None and answer.events:
            wrong = answer.heard.model != answer.model
            yield f"{answer.model!r} was asked, and {answer.heard.model!r} answers" if wrong else None


def whole_stream_is_no_error(run: ProgramRun) -> Iterator[str | None]:
    for _, answer in _whole(run):
        if answer.ended == "overdue":
            yield "a whole answer is never finished"
        elif answer.failure is not None:
            yield f"a whole answer is the error {named(answer.failure)}"
        else:
            yield None


def no_repeat(run: ProgramRun) -> Iterator[str | None]:
    for step, answer in run.answers:
        breaks_off = step.fault in ("cut", "truncated", "error_in_stream", "stalled") and takes_calls(run, step)
        if breaks_off and answer.ended == "read" and answer.text and answer.expected is not None:
            begins = answer.expected.startswith(answer.text)
            yield None if begins else f"after a stream broke off, the tokens join to {answer.text[:80]!r}"


def end_frees(run: ProgramRun) -> Iterator[str | None]:
    for step, answer in run.answers:
        if isinstance(step.operation, Call) and answer.ended == "read" and not step.cancels:
            yield "the connection is in use after the closing event" if step.after.beyond(step.before) else None


def early_close_frees(run: ProgramRun) -> Iterator[str | None]:
    closed = [(step, answer) for step, answer in run.answers if answer.ended == "closed"]
    for step, answer in closed:
        if answer.closing_error is not None:
            yield f"closing a stream early raises {named(answer.closing_error)}"
        elif step.overdue:
            yield "closing a stream early hangs"
        elif isinstance(step.operation, Call) and _sent_on(run, answer):
            yield f"the server goes on: {answer.sent} pieces for a reader that left after {len(answer.events)}"
        elif isinstance(step.operation, Call) and not step.cancels:
            kept = step.after.beyond(step.before)
            yield "the connection of a stream that was closed early is in use" if kept else None
    alone = [step for step, _ in closed if isinstance(step.operation, Call)]
    if len(alone) > 1 and alone[-1].after.more_sockets(alone[0].before) > 1:
        yield "each stream that is closed early leaves a socket"


def _sent_on(run: ProgramRun, answer: CallRun) -> bool:
    """Return whether most of a long answer was sent. Of a short one nothing can be told: an adapter may make fewer events than pieces."""
    most = run.capabilities.buffer_pieces
    if most is None or answer.sent is None or answer.call.words <= 10 * (len(answer.events) + most):
        return False
    return answer.sent > answer.call.words / 2


def calls_do_not_mix(run: ProgramRun) -> Iterator[str | None]:
    for step, answer in run.answers:
        together = isinstance(step.operation, Together) and takes_calls(run, step) and not answer.call.tools
        if together and answer.ended == "read" and answer.failure is None and answer.expected is not None:
            yield None if answer.text == answer.expected else "a call beside others gets another answer than alone"


def parallel_as_declared(run: ProgramRun) -> Iterator[str | None]:
    for step in run.steps:
        if not isinstance(step.operation, Together) or not takes_calls(run, step):
            continue
        total = len(step.answers)
        waiting = sum(answer.ended == "overdue" and not answer.events for answer in step.answers)
        failed = [answer.failure for answer in step.answers if answer.ended == "read" and answer.failure is not None]
        if step.operation.hold and waiting:
            yield f"of {total} calls at once, {waiting} get no event while the others are open"
        elif failed:
            yield f"of {total} calls at once, {len(failed)} fail with {named(failed[0])}"
        elif step.operation.hold:
            yield None


def back_pressure(run: ProgramRun) -> Iterator[str | None]:
    most = run.capabilities.buffer_pieces or 0
    for _, answer in _whole(run):
        if answer.sent_ahead is not None and answer.pieces > most + 1:
            ahead = answer.sent_ahead > most
            yield f"{answer.sent_ahead} pieces were sent to a reader that had stopped at the first" if ahead else None


def arguments_unchanged(run: ProgramRun) -> Iterator[str | None]:
    for _, answer in run.answers:
        yield None if answer.changed is None else f"the call's {answer.changed} is changed"
