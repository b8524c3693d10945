"""The ``anthropic`` client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import anthropic
import pytest
from anthropic.types import MessageParam

from .server import CHAT_MODEL, QUESTION, REASONING_MODEL, WEATHER, Calls

__all__ = ["CALLS"]

MESSAGES: Final[list[MessageParam]] = [{"role": "user", "content": QUESTION}]
TOOLS: Final[Any] = [{"name": "get_weather", "description": "The weather.", "input_schema": WEATHER}]


@contextmanager
def client(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, timeout=30) as made:
        yield made


def whole(url: str) -> None:
    with client(url) as c:
        message = c.messages.create(model=CHAT_MODEL, max_tokens=5, messages=MESSAGES, system="Be short.")
    (block,) = message.content
    assert block.type == "text"
    assert len(block.text.split()) == 5
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5


def streamed(url: str) -> None:
    with client(url) as c:
        with c.messages.stream(model=CHAT_MODEL, max_tokens=5, messages=MESSAGES) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
    assert len(text.split()) == 5
    assert message.stop_reason == "max_tokens"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (8, 5)


def thinking(url: str) -> None:
    with client(url) as c:
        with c.messages.stream(
            model=REASONING_MODEL,
            max_tokens=2048,
            messages=MESSAGES,
            thinking={"type": "enabled", "budget_tokens": 1024},
        ) as stream:
            message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]


def stop_sequence(url: str) -> None:
    with client(url) as c:
        word = c.messages.create(model=CHAT_MODEL, max_tokens=3, messages=MESSAGES).content[0]
        assert word.type == "text"
        stop = word.text.split()[1]
        message = c.messages.create(model=CHAT_MODEL, max_tokens=3, messages=MESSAGES, stop_sequences=[stop])
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", stop)


def tools(url: str) -> None:
    with client(url) as c:
        first = c.messages.create(model=CHAT_MODEL, max_tokens=500, messages=MESSAGES, tools=TOOLS)
        (use,) = first.content
        assert use.type == "tool_use"
        assert (use.name, use.input, first.stop_reason) == ("get_weather", {"city": "mock", "days": 1}, "tool_use")
        result: Any = {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "rain"}],
        }
        history: Any = [*MESSAGES, {"role": "assistant", "content": first.content}, result]
        second = c.messages.create(model=CHAT_MODEL, max_tokens=5, messages=history, tools=TOOLS)
    assert second.content[0].type == "text"


def tools_streamed(url: str) -> None:
    with client(url) as c:
        with c.messages.stream(
            model=CHAT_MODEL, max_tokens=500, messages=MESSAGES, tools=TOOLS, tool_choice={"type": "any"}
        ) as stream:
            message = stream.get_final_message()
    (use,) = message.content
    assert use.type == "tool_use"
    assert use.input == {"city": "mock", "days": 1}


def unknown_model(url: str) -> None:
    with client(url) as c, pytest.raises(anthropic.BadRequestError, match="Invalid model identifier"):
        c.messages.create(model="nope", max_tokens=5, messages=MESSAGES)


CALLS: Final[Calls] = {
    "messages, whole": whole,
    "messages, streamed": streamed,
    "messages, thinking": thinking,
    "messages, stop_sequences": stop_sequence,
    "tools, whole": tools,
    "tools, streamed": tools_streamed,
    "error: unknown model": unknown_model,
}
