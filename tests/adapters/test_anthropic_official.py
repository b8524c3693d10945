"""The official ``anthropic`` client against the loopback server: what it reads there, it would read at the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anthropic
import pytest
import trio

from simulation.mock.anthropic import MockAnthropic
from simulation.mock.serve import serve

T = TypeVar("T")
KEY = "sk-ant-0123456789"
ASK: dict[str, Any] = {"model": "claude", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
LOOK: dict[str, Any] = {
    "name": "look",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}


async def ask(server: MockAnthropic, question: Callable[[anthropic.Anthropic], T], key: str = KEY) -> T:
    def answered(url: str) -> T:
        with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
            return question(client)

    async with serve(server, port=0) as url:
        return await trio.to_thread.run_sync(answered, url)


def mock() -> MockAnthropic:
    return MockAnthropic(["claude"], api_key=KEY)


async def test_a_streamed_message_and_a_whole_one_say_the_same() -> None:
    def question(client: anthropic.Anthropic) -> tuple[list[str], Any, Any]:
        with client.messages.stream(**ASK) as stream:
            texts = list(stream.text_stream)
            return texts, stream.get_final_message(), client.messages.create(**ASK)

    texts, streamed, whole = await ask(mock(), question)
    assert len(texts) == 5
    assert "".join(texts) == streamed.content[0].text == whole.content[0].text
    assert streamed.stop_reason == whole.stop_reason == "max_tokens"
    assert streamed.usage.output_tokens == whole.usage.output_tokens


async def test_thinking_and_a_use_of_a_tool_are_collected_from_their_pieces() -> None:
    asked = {**ASK, "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": [LOOK]}

    def question(client: anthropic.Anthropic) -> tuple[Any, Any]:
        with client.messages.stream(**asked) as stream:
            first = stream.get_final_message()
        result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "a garden"}  # type: ignore[union-attr]
        messages = [
            *ASK["messages"],
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ]
        return first, client.messages.create(**{**asked, "messages": messages})

    first, second = await ask(mock(), question)
    thinking, use = first.content
    assert thinking.thinking
    assert thinking.signature
    assert (use.name, use.input, first.stop_reason) == ("look", {"place": "example"}, "tool_use")
    assert [block.type for block in second.content] == ["thinking", "text"]


@pytest.mark.parametrize(
    ("key", "more", "kind"),
    [
        ("sk-ant-another-key", {}, anthropic.AuthenticationError),
        (KEY, {"model": "none"}, anthropic.NotFoundError),
        (KEY, {"messages": [{"role": "system", "content": "no"}]}, anthropic.BadRequestError),
    ],
)
async def test_errors_are_of_their_kinds(key: str, more: dict[str, Any], kind: type[anthropic.APIStatusError]) -> None:
    def question(client: anthropic.Anthropic) -> None:
        with pytest.raises(kind):
            client.messages.create(**{**ASK, **more})

    await ask(mock(), question, key)


async def test_an_overload_says_when_to_try_again() -> None:
    def question(client: anthropic.Anthropic) -> anthropic.APIStatusError:
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(**ASK)
        return caught.value

    server = mock()
    server.refuse_next(529, "overloaded_error", "Overloaded", retry_after=7)
    error = await ask(server, question)
    assert (error.status_code, error.response.headers["retry-after"]) == (529, "7")


async def test_an_error_in_mid_stream_is_raised_after_the_text_before_it() -> None:
    def question(client: anthropic.Anthropic) -> list[str]:
        texts = []
        with pytest.raises(anthropic.APIStatusError, match="has crashed"):
            with client.messages.stream(**ASK) as stream:
                for text in stream.text_stream:
                    texts.append(text)
        return texts

    server = mock()
    server.faults.break_next_stream("error", after_chunks=2)
    assert len(await ask(server, question)) == 2


async def test_models_are_listed_and_tokens_counted() -> None:
    def question(client: anthropic.Anthropic) -> tuple[list[str], int]:
        counted = client.messages.count_tokens(model="claude", messages=ASK["messages"])
        return [model.id for model in client.models.list()], counted.input_tokens

    names, tokens = await ask(mock(), question)
    assert names == ["claude"]
    assert tokens > 0
