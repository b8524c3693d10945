"""One call of an adapter: make it, read its stream as its operation says, and note everything."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from statemachine.config.adapter import Adapter
from statemachine.config.call import CallOptions, Message
from statemachine.config.runtime import RuntimeProviderConfig

from .program import Call
from .subject import Subject
from .trace import CallRun

__all__ = ["ask", "call_options", "mark", "prompt_of"]

MOST_EVENTS: Final = 100_000
_WORDS: Final = ("word", "größe", "字", "🙂")
"""Characters of one to four bytes: a server that gives them back may cut its pieces inside of them."""
TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def prompt_of(number: int, call: Call, *, tools: bool = False) -> list[Message]:
    """Make a prompt of its own for each call of a program. ``tools``: an earlier message may call tools."""
    words = " ".join(f"{_WORDS[place % len(_WORDS)]}-{number}-{place}" for place in range(call.words))
    last: Message = {"role": "user", "content": f"prompt-{number} {words}".rstrip()}
    return [*_earlier(number, tools=tools), last] if call.earlier else [last]


def _earlier(number: int, *, tools: bool) -> list[Message]:
    """Return what was said before, with a mark in each message."""
    marks = [mark(number, place) for place in range(7)]
    said: list[Message] = [
        {"role": "system", "content": f"You are {marks[0]}"},
        {"role": "user", "content": f"Who is {marks[1]}?"},
    ]
    if tools:
        said.append(
            {"role": "assistant", "content": "", "tool_calls": [_call(place, marks[place]) for place in (2, 3)]}
        )
        said += [{"role": "tool", "tool_call_id": f"call_{place}", "content": marks[place + 2]} for place in (2, 3)]
    return [*said, {"role": "assistant", "content": f"It is {marks[6]}"}]


def _call(place: int, city: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {"id": f"call_{place}", "type": "function", "function": function}


def mark(number: int, place: int) -> str:
    """Return a word that no other message of any prompt has."""
    return f"mark-{number}-{place}."


def call_options(subject: Subject, call: Call, model: str | None = None) -> CallOptions:
    """Return the options of ``call``; ``model`` for one through a manager."""
    return CallOptions(
        provider_config=None if model is None else RuntimeProviderConfig("subject", model),
        stream=call.stream,
        parameters=dict(subject.parameters),
        tools=(TOOL,) if call.tools else (),
    )


async def ask(
    subject: Subject, adapter: Adapter, answer: CallRun, first: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Fill ``answer``. ``first`` is awaited once, after the first event or, where there is none, at the end."""
    options = call_options(subject, answer.call)
    untouched = copy.deepcopy((answer.prompt, dict(options.parameters), options.tools))
    began, sent = trio.current_time(), subject.pieces_sent()
    reading = _Reading(subject, answer, first)
    try:
        events = adapter.call(answer.prompt, options)
        async with _closing(events, answer):
            await reading.read(events)
    except Exception as error:
        answer.error = error
        answer.ended = "read"
    finally:
        answer.seconds = trio.current_time() - began
        if sent is not None and (now_sent := subject.pieces_sent()) is not None:
            answer.sent = now_sent - sent
        names = ("prompt", "parameters", "tools")
        now = (answer.prompt, dict(options.parameters), options.tools)
        answer.changed = next((name for name, old, new in zip(names, untouched, now, strict=True) if old != new), None)
    await reading.passed()


@asynccontextmanager
async def _closing(events: Any, answer: CallRun) -> AsyncIterator[None]:
    """Close the stream, as the engine does: in the task that has read it, cancelled or not."""
    try:
        yield
    finally:
        if (aclose := getattr(events, "aclose", None)) is not None:
            try:
                await aclose()
            except Exception as error:
                answer.closing_error = error


class _Reading:
    def __init__(self, subject: Subject, answer: CallRun, first: Callable[[], Awaitable[None]] | None) -> None:
        self._subject = subject
        self._answer = answer
        self._first = first

    async def passed(self) -> None:
        """Tell, once, that the first event is there or will never come."""
        first, self._first = self._first, None
        if first is not None:
            await first()

    async def read(self, events: AsyncIterator[Any]) -> None:
        answer, call = self._answer, self._answer.call
        sent = self._subject.pieces_sent()
        async for event in events:
            if answer.terminal is not None:
                answer.after.append(event)
                continue
            answer.events.append(event)
            answer.seen()
            await self.passed()
            if call.read is not None and len(answer.events) >= call.read and answer.terminal is None:
                answer.ended = "closed"
                return
            await self._wait(sent)
            if len(answer.events) > MOST_EVENTS:
                break
        answer.ended = "read"

    async def _wait(self, sent_before: int | None) -> None:
        answer, call = self._answer, self._answer.call
        if call.linger and len(answer.events) == 1:
            await trio.sleep(call.linger)
            sent = self._subject.pieces_sent()
            if sent is not None and sent_before is not None:
                answer.sent_ahead = sent - sent_before - 1
        elif call.pause:
            await trio.sleep(call.pause)
