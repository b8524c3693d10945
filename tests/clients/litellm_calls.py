"""``litellm``, by its provider for LM Studio, and by the ones for OpenAI's and Anthropic's wires."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, Final

import pytest

from .server import CHAT_MODEL, EMBEDDING_MODEL, QUESTION, WEATHER, Calls

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch its price list when it is imported

import litellm  # after that

__all__ = ["CALLS"]

litellm.suppress_debug_info = True

MESSAGES: Final = [{"role": "user", "content": QUESTION}]
TOOLS: Final = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]


def _common(url: str) -> dict[str, Any]:
    return {"api_base": f"{url}/v1", "api_key": "none", "num_retries": 0, "timeout": 30}


def whole(url: str) -> None:
    answer: Any = litellm.completion(model=f"lm_studio/{CHAT_MODEL}", messages=MESSAGES, max_tokens=5, **_common(url))
    assert len(answer.choices[0].message.content.split()) == 5
    assert answer.usage.completion_tokens == 5


def streamed(url: str) -> None:
    chunks: Any = litellm.completion(
        model=f"lm_studio/{CHAT_MODEL}", messages=MESSAGES, max_tokens=5, stream=True, **_common(url)
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(text.split()) == 5


def streamed_on_asyncio(url: str) -> None:
    async def main() -> str:
        chunks: Any = await litellm.acompletion(
            model=f"openai/{CHAT_MODEL}", messages=MESSAGES, max_tokens=5, stream=True, **_common(url)
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    assert len(asyncio.run(main()).split()) == 5


def tools(url: str) -> None:
    answer: Any = litellm.completion(model=f"lm_studio/{CHAT_MODEL}", messages=MESSAGES, tools=TOOLS, **_common(url))
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "mock", "days": 1}


def embeddings(url: str) -> None:
    answer: Any = litellm.embedding(model=f"lm_studio/{EMBEDDING_MODEL}", input=["one", "two"], **_common(url))
    assert [len(row["embedding"]) for row in answer.data] == [768, 768]


def messages(url: str) -> None:
    common = {**_common(url), "api_base": url}
    answer: Any = litellm.completion(model=f"anthropic/{CHAT_MODEL}", messages=MESSAGES, max_tokens=5, **common)
    assert len(answer.choices[0].message.content.split()) == 5


def responses(url: str) -> None:
    answer: Any = litellm.responses(model=f"openai/{CHAT_MODEL}", input=QUESTION, **_common(url))
    assert answer.status == "completed"


def unknown_model(url: str) -> None:
    with pytest.raises(litellm.exceptions.BadRequestError, match="Invalid model identifier"):
        litellm.completion(model="lm_studio/nope", messages=MESSAGES, **_common(url))


CALLS: Final[Calls] = {
    "chat, whole": whole,
    "chat, streamed": streamed,
    "chat, streamed, asyncio": streamed_on_asyncio,
    "tools": tools,
    "embeddings": embeddings,
    "messages": messages,
    "responses": responses,
    "error: unknown model": unknown_model,
}
