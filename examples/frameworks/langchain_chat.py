"""A LangChain chat model whose every call goes through a lease: ``LeasedChat(model=await provider.create_model_async(...))``.

``pip install langchain-core``; then ``python -m examples.frameworks.langchain_chat BASE_URL MODEL`` with an LM Studio server.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from adapters.providers import Answer, Model, ModelProvider, SyncModel


class LeasedChat(BaseChatModel):
    """Asks ``model``, from asyncio or from plain code. ``stop`` and other arguments are the call's parameters."""

    model: Any  # adapters.providers.Model, which pydantic need not look into

    @property
    def _llm_type(self) -> str:
        return "leased"

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **more: Any
    ) -> ChatResult:
        return _result(await self.model.invoke(convert_to_openai_messages(messages), **_parameters(stop, more)))

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **more: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(
            self.model.stream(convert_to_openai_messages(messages), **_parameters(stop, more))
        ) as events:
            async for event in events:
                if event.type == "token":
                    yield ChatGenerationChunk(message=AIMessageChunk(content=str(event.data)))

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **more: Any
    ) -> ChatResult:
        plain = SyncModel(self.model, self.model.home)
        return _result(plain.invoke(convert_to_openai_messages(messages), **_parameters(stop, more)))


def _parameters(stop: list[str] | None, more: dict[str, Any]) -> dict[str, Any]:
    return {**({} if stop is None else {"stop": stop}), **more}


def _result(answer: Answer) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=AIMessage(content=answer.text))])


async def main(base_url: str, name: str) -> list[str]:
    """One answer whole, and the same in pieces."""
    async with ModelProvider() as provider:
        model: Model = await provider.create_model_async({"provider": "lmstudio", "model": name, "base_url": base_url})
        chat = LeasedChat(model=model)
        whole = await chat.ainvoke("Say hello.", max_tokens=8)
        pieces = [piece.text async for piece in chat.astream("Say hello.", max_tokens=8)]
    return [str(whole.text), "".join(pieces)]


if __name__ == "__main__":
    print(*asyncio.run(main(*sys.argv[1:])), sep="\n")
