"""``pydantic-ai``: agents that call tools until they have an answer."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from .server import CHAT_MODEL, QUESTION, Calls

__all__ = ["CALLS"]


class Weather(BaseModel):
    """What an agent is to find out."""

    city: str
    days: int


def _model(url: str, name: str = CHAT_MODEL) -> OpenAIChatModel:
    return OpenAIChatModel(name, provider=OpenAIProvider(base_url=f"{url}/v1", api_key="none"))


def whole(url: str) -> None:
    async def main() -> str:
        return str((await Agent(_model(url)).run(QUESTION, model_settings=ModelSettings(max_tokens=5))).output)

    assert len(asyncio.run(main()).split()) == 5


def streamed(url: str) -> None:
    async def main() -> str:
        settings = ModelSettings(max_tokens=5)
        async with Agent(_model(url)).run_stream(QUESTION, model_settings=settings) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])

    assert len(asyncio.run(main()).split()) == 5


def tools(url: str) -> None:
    async def main() -> tuple[str, list[str]]:
        agent = Agent(_model(url))
        asked = []

        def get_weather(city: str) -> str:
            """Tell the weather of a city."""
            asked.append(city)
            return "rain"

        agent.tool_plain(get_weather)
        return (await agent.run(QUESTION)).output, asked

    text, asked = asyncio.run(main())
    assert text
    assert asked == ["mock"]


def structured(url: str) -> None:
    async def main() -> Weather:
        return Weather.model_validate((await Agent(_model(url), output_type=Weather).run(QUESTION)).output)

    assert asyncio.run(main()) == Weather(city="mock", days=1)


def tools_then_structured(url: str) -> None:
    async def main() -> tuple[Weather, list[str]]:
        agent = Agent(_model(url), output_type=Weather)
        asked = []

        def get_weather(city: str) -> str:
            """Tell the weather of a city."""
            asked.append(city)
            return "rain"

        agent.tool_plain(get_weather)
        return (await agent.run(QUESTION)).output, asked

    assert asyncio.run(main()) == (Weather(city="mock", days=1), ["mock"])


def responses(url: str) -> None:
    async def main() -> str:
        model = OpenAIResponsesModel(CHAT_MODEL, provider=OpenAIProvider(base_url=f"{url}/v1", api_key="none"))
        return str((await Agent(model).run(QUESTION)).output)

    assert asyncio.run(main())


def unknown_model(url: str) -> None:
    async def main() -> None:
        await Agent(_model(url, "nope")).run(QUESTION)

    with pytest.raises(ModelHTTPError, match="Invalid model identifier") as caught:
        asyncio.run(main())
    assert caught.value.status_code == 400


CALLS: Final[Calls] = {
    "chat, whole": whole,
    "chat, streamed": streamed,
    "tools": tools,
    "structured output": structured,
    "tools, then structured output": tools_then_structured,
    "responses": responses,
    "error: unknown model": unknown_model,
}
