"""The ``openai`` client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from .server import CHAT_MODEL, EMBEDDING_MODEL, QUESTION, REASONING_MODEL, WEATHER, Calls

__all__ = ["CALLS"]

MESSAGES: Final[list[ChatCompletionMessageParam]] = [{"role": "user", "content": QUESTION}]
TOOLS: Final[list[ChatCompletionToolParam]] = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": WEATHER}}
]


@contextmanager
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30) as made:
        yield made


def chat_whole(url: str) -> None:
    with client(url) as c:
        answer = c.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES, max_completion_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    assert len((answer.choices[0].message.content or "").split()) == 5
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    assert answer.created > 1_700_000_000


def chat_streamed(url: str) -> None:
    with client(url) as c:
        chunks = list(
            c.chat.completions.create(
                model=CHAT_MODEL,
                messages=MESSAGES,
                max_tokens=5,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert len(text.split()) == 5
    assert chunks[-1].usage is not None
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "length"


def chat_reasons(url: str) -> None:
    with client(url) as c:
        answer = c.chat.completions.create(model=REASONING_MODEL, messages=MESSAGES, max_tokens=8)
    assert (answer.choices[0].message.model_extra or {})["reasoning"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 2


def tools_whole(url: str) -> None:
    with client(url) as c:
        first = c.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES, tools=TOOLS)
        assert first.choices[0].finish_reason == "tool_calls"
        (call,) = first.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert call.function.name == "get_weather"
        assert json.loads(call.function.arguments) == {"city": "mock", "days": 1}
        history: list[Any] = [
            *MESSAGES,
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ]
        second = c.chat.completions.create(model=CHAT_MODEL, messages=history, tools=TOOLS)
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


def tools_streamed(url: str) -> None:
    with client(url) as c:
        with c.chat.completions.stream(
            model=CHAT_MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="required"
        ) as stream:
            stream.until_done()
            answer = stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["days"] == 1


def schema(url: str) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER, "strict": True}}
    with client(url) as c:
        answer = c.chat.completions.create(model=CHAT_MODEL, messages=MESSAGES, response_format=form)
    assert json.loads(answer.choices[0].message.content or "") == {"city": "mock", "days": 1}


def choices_and_logprobs(url: str) -> None:
    with client(url) as c:
        answer = c.chat.completions.create(
            model=CHAT_MODEL, messages=MESSAGES, max_tokens=3, n=2, seed=7, logprobs=True, top_logprobs=2
        )
    first, second = answer.choices
    assert first.message.content != second.message.content
    assert first.logprobs is not None
    assert first.logprobs.content is not None
    assert [len(token.top_logprobs) for token in first.logprobs.content] == [2, 2, 2]


def completion(url: str) -> None:
    with client(url) as c:
        whole = c.completions.create(model=CHAT_MODEL, prompt=QUESTION, max_tokens=4)
        pieces = list(c.completions.create(model=CHAT_MODEL, prompt=QUESTION, max_tokens=4, stream=True))
    text = "".join(choice.text for piece in pieces for choice in piece.choices)
    assert whole.choices[0].text == text
    assert len(text.split()) == 4


def embeddings(url: str) -> None:
    with client(url) as c:
        answer = c.embeddings.create(model=EMBEDDING_MODEL, input=["one", "two"])
    assert [len(row.embedding) for row in answer.data] == [768, 768]
    assert answer.data[0].embedding != answer.data[1].embedding


def response_whole(url: str) -> None:
    with client(url) as c:
        first = c.responses.create(model=CHAT_MODEL, input=QUESTION)
        second = c.responses.create(model=CHAT_MODEL, input="And tomorrow?", previous_response_id=first.id)
    assert first.status == "completed"
    assert first.output_text
    assert first.usage is not None
    assert second.previous_response_id == first.id
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens


def response_streamed(url: str) -> None:
    with client(url) as c:
        with c.responses.stream(model=REASONING_MODEL, input=QUESTION) as stream:
            kinds = [event.type for event in stream]
            answer = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "response.reasoning_text.delta" in kinds
    assert answer.output_text
    assert [item.type for item in answer.output] == ["reasoning", "message"]


def response_tools(url: str) -> None:
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}]
    with client(url) as c:
        first = c.responses.create(model=CHAT_MODEL, input=QUESTION, tools=tools)
        (call,) = first.output
        assert call.type == "function_call"
        assert json.loads(call.arguments) == {"city": "mock", "days": 1}
        result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
        second = c.responses.create(model=CHAT_MODEL, input=result, tools=tools, previous_response_id=first.id)
    assert second.output_text


def models_list(url: str) -> None:
    with client(url) as c:
        assert [model.id for model in c.models.list()] == [CHAT_MODEL, REASONING_MODEL, EMBEDDING_MODEL]


def models_retrieve(url: str) -> None:
    with client(url) as c:
        model = c.models.retrieve(CHAT_MODEL)
        with pytest.raises(openai.NotFoundError):
            c.models.retrieve("nope")
    assert (model.id, model.object, model.owned_by) == (CHAT_MODEL, "model", "organization_owner")


def unknown_model(url: str) -> None:
    with client(url) as c, pytest.raises(openai.BadRequestError) as caught:
        c.chat.completions.create(model="nope", messages=MESSAGES)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def prompt_too_long(url: str) -> None:
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "word " * 8_000}]
    with client(url) as c:
        with pytest.raises(openai.BadRequestError) as caught:
            c.chat.completions.create(model=CHAT_MODEL, messages=long)
        assert "greater than the context length" in caught.value.response.json()["error"]
        with pytest.raises(openai.APIError, match="greater than the context length"):
            list(c.chat.completions.create(model=CHAT_MODEL, messages=long, stream=True))


CALLS: Final[Calls] = {
    "chat, whole": chat_whole,
    "chat, streamed": chat_streamed,
    "chat, reasoning": chat_reasons,
    "tools, whole": tools_whole,
    "tools, streamed": tools_streamed,
    "response_format": schema,
    "n, seed, logprobs": choices_and_logprobs,
    "completions": completion,
    "embeddings": embeddings,
    "responses, whole": response_whole,
    "responses, streamed": response_streamed,
    "responses, tools": response_tools,
    "models.list": models_list,
    "models.retrieve": models_retrieve,
    "error: unknown model": unknown_model,
    "error: prompt too long": prompt_too_long,
}
