"""A pydantic-ai concurrency limiter that is a lease: the framework's own model talks to the server while the lease is held.

``pip install 'pydantic-ai-slim[openai]'``; then ``python -m examples.frameworks.pydantic_ai_limiter BASE_URL MODEL OTHER_MODEL`` with an
LM Studio server.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

from pydantic_ai import Agent
from pydantic_ai.concurrency import AbstractConcurrencyLimiter
from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from adapters import LMStudioAdapter
from statemachine import (
    AsyncioLease,
    AsyncioProviderManager,
    ProviderConfig,
    ProviderManagerConfig,
    RuntimeProviderConfig,
)


class LeaseLimiter(AbstractConcurrencyLimiter):
    """Holds one model while a request of it runs. Leases of one model are alike, so a release gives any of them back."""

    def __init__(self, manager: AsyncioProviderManager, config: RuntimeProviderConfig) -> None:
        self._manager = manager
        self._config = config
        self._leases: deque[AsyncioLease] = deque()

    async def acquire(self, source: str) -> None:
        self._leases.append(await self._manager.get_adapter(self._config, agent=source))

    def release(self) -> None:
        self._leases.popleft().release()


def leased(manager: AsyncioProviderManager, base_url: str, name: str) -> ConcurrencyLimitedModel:
    """The framework's model called ``name``, whose requests hold it."""
    provider = OpenAIProvider(base_url=f"{base_url}/v1", api_key="none")
    return ConcurrencyLimitedModel(
        OpenAIChatModel(name, provider=provider), LeaseLimiter(manager, RuntimeProviderConfig("lmstudio", name))
    )


async def main(base_url: str, *names: str) -> list[str]:
    """An agent per model, all at once."""
    provider = ProviderConfig("lmstudio", LMStudioAdapter, is_local=True, base_options={"base_url": base_url})
    async with AsyncioProviderManager(ProviderManagerConfig([provider], on_conflict="wait")) as manager:
        agents = [Agent(leased(manager, base_url, name)) for name in names]
        answers = await asyncio.gather(*(agent.run("Say hello.") for agent in agents))
    return [answer.output for answer in answers]


if __name__ == "__main__":
    print(*asyncio.run(main(*sys.argv[1:])), sep="\n")
