"""A model for the OpenAI Agents SDK whose every request holds a lease: the SDK's own model talks to the server meanwhile.

``pip install openai-agents``; then ``python -m examples.frameworks.openai_agents_model BASE_URL MODEL OTHER_MODEL``, with LM Studio.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from agents import Agent, ModelResponse, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

from adapters import LMStudioAdapter
from statemachine import AsyncioProviderManager, ProviderConfig, ProviderManagerConfig, RuntimeProviderConfig


class LeasedModel(OpenAIChatCompletionsModel):
    """The SDK's model, used only while the manager lends it."""

    def __init__(self, manager: AsyncioProviderManager, name: str, client: AsyncOpenAI) -> None:
        super().__init__(name, client)
        self._manager = manager
        self._config = RuntimeProviderConfig("lmstudio", name)

    async def get_response(self, *arguments: Any, **more: Any) -> ModelResponse:
        async with self._manager.acquire(self._config):
            return await super().get_response(*arguments, **more)

    async def stream_response(self, *arguments: Any, **more: Any) -> AsyncIterator[Any]:
        async with self._manager.acquire(self._config), aclosing(super().stream_response(*arguments, **more)) as events:  # type: ignore[type-var]  # a generator in practice
            async for event in events:
                yield event


async def main(base_url: str, *names: str) -> list[str]:
    """An agent per model, all at once."""
    set_tracing_disabled(True)
    provider = ProviderConfig("lmstudio", LMStudioAdapter, is_local=True, base_options={"base_url": base_url})
    async with (
        AsyncioProviderManager(ProviderManagerConfig([provider], on_conflict="wait")) as manager,
        AsyncOpenAI(base_url=f"{base_url}/v1", api_key="none") as client,
    ):
        agents = [Agent(name, model=LeasedModel(manager, name, client)) for name in names]
        results = await asyncio.gather(*(Runner.run(agent, "Say hello.") for agent in agents))
    return [str(result.final_output) for result in results]


if __name__ == "__main__":
    print(*asyncio.run(main(*sys.argv[1:])), sep="\n")
