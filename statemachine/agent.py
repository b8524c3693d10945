"""The agent workflow: plan, execute, synthesise. And the wiring of manager, state and engine that it runs on.

Every phase is one call of the engine that names only the thread, so each runs on the provider that the thread has by
then, and between phases the agent holds no lease.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from .call import CallOptions, Message, StreamEvent
from .checks import check_name, shown
from .config import ProviderManagerConfig
from .engine import ReasoningEngine
from .errors import ConfigurationError
from .manager import ProviderManager
from .thread_record import SecretSource
from .threads import StateManager

__all__ = ["AgentCore", "AgentFactory", "InstanceConfig", "create_instance"]

_PLAN: Final = "Plan how to answer the user: a short numbered list of steps. Do not carry them out."
_EXECUTE: Final = "Carry out this plan step by step, and write down the result of every step.\n\nPlan:\n{plan}"
_SYNTHESISE: Final = "Answer the user from these results. Do not mention the plan.\n\nPlan:\n{plan}\n\nResults:\n{results}"


class AgentCore:
    """An agent. It keeps nothing between two runs, so it may serve several threads at once.

    ``name`` is what scheduling policies see. ``parameters``, ``priority`` and ``timeout`` go with each call, see CallOptions.
    Raises ConfigurationError.
    """

    def __init__(
        self,
        engine: ReasoningEngine,
        name: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        priority: int = 0,
        timeout: float | None = None,
    ) -> None:
        check_name("name", name)
        self._engine = engine
        self._parameters = parameters or {}
        self._options = CallOptions(agent=name, parameters=parameters or {}, priority=priority, timeout=timeout)

    @asynccontextmanager
    async def process(self, query: str, thread_id: str) -> AsyncGenerator[AsyncIterator[StreamEvent]]:
        """``async with agent.process(query, thread_id=...) as answer: async for event in answer: ...``

        Entering plans and executes, and acquires for the synthesis. The answer is the synthesis' stream, after one ``metadata`` event each for the
        phases before it: ``{"phase": "plan", "text": ...}`` and ``{"phase": "execute", "text": ...}``. Leaving the
        block frees the lease, wherever the stream is. Raises what ``engine.call`` and its streams raise.
        """
