"""``langchain-openai``."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import SecretStr

from .server import CHAT_MODEL, EMBEDDING_MODEL, QUESTION, WEATHER, Calls

__all__ = ["CALLS"]

TOOL: Final = {"type": "function", "function": {"name": "get_weather", "description": "x", "parameters": WEATHER}}


def _chat(url: str, model: str = CHAT_MODEL, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=SecretStr("none"), max_retries=0, timeout=30, **more)


def whole(url: str) -> None:
    answer = _chat(url, max_completion_tokens=5).invoke(QUESTION)
    assert len(str(answer.content).split()) == 5
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 5


def streamed(url: str) -> None:
    pieces = list(_chat(url, max_completion_tokens=5).stream(QUESTION))
    assert len("".join(str(piece.content) for piece in pieces).split()) == 5


def streamed_on_asyncio(url: str) -> None:
    async def main() -> str:
        return "".join([str(piece.content) async for piece in _chat(url, max_completion_tokens=5).astream(QUESTION)])

    assert len(asyncio.run(main()).split()) == 5


def tools(url: str) -> None:
    answer = _chat(url).bind_tools([TOOL]).invoke(QUESTION)
    (call,) = answer.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "mock", "days": 1})


def structured(url: str) -> None:
    schema = {"title": "weather", "description": "x", **WEATHER}
    answer = _chat(url).with_structured_output(schema, method="json_schema").invoke(QUESTION)
    assert answer == {"city": "mock", "days": 1}


def responses(url: str) -> None:
    answer = _chat(url, use_responses_api=True).invoke(QUESTION)
    assert answer.text


def embeddings(url: str) -> None:
    made = OpenAIEmbeddings(
        model=EMBEDDING_MODEL,
        base_url=f"{url}/v1",
        api_key=SecretStr("none"),
        max_retries=0,
        check_embedding_ctx_length=False,
    ).embed_documents(["one", "two"])
    assert [len(vector) for vector in made] == [768, 768]


def unknown_model(url: str) -> None:
    with pytest.raises(openai.BadRequestError, match="Invalid model identifier"):
        _chat(url, "nope").invoke(QUESTION)


CALLS: Final[Calls] = {
    "chat, whole": whole,
    "chat, streamed": streamed,
    "chat, streamed, asyncio": streamed_on_asyncio,
    "tools": tools,
    "structured output": structured,
    "responses": responses,
    "embeddings": embeddings,
    "error: unknown model": unknown_model,
}
