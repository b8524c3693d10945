"""The agent workflow: plan, execute, synthesise; and an instance of manager, state and engine to run it.

Each phase is one call of the engine that names only the thread. So each runs on the provider that the thread has at that moment, and
between phases the agent holds no lease.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from ..checks import check_name, shown
from ..config.call import CallOptions, Message, StreamEvent
from ..config.providers import ProviderManagerConfig
from ..errors import ConfigurationError
from ..manager.engine import EngineCall, ReasoningEngine
from ..manager.manager import ProviderManager
from ..manager.observing import Observer, check_observers
from .state import StateManager

__all__ = ["AgentCore", "AgentFactory", "InstanceConfig", "create_instance"]

_PLAN: Final = "Plan how to answer the user: a short numbered list of steps. Do not carry them out."
_EXECUTE: Final = "Carry out this plan, step by step, and write down what each step results in.\n\nPlan:\n{plan}"
_SYNTHESISE: Final = (
    "Answer the user from these results, without mentioning the plan.\n\nPlan:\n{plan}\n\nResults:\n{results}"
)


class AgentCore:
    """One agent on one engine, which must have a state. It remembers nothing between runs, so it may serve several threads at once.

    ``name`` is what scheduling policies see; ``parameters``, ``priority`` and ``timeout`` go with each call, see
    CallOptions. Raises ConfigurationError.
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
        self._options = CallOptions(
            agent=name, parameters={} if parameters is None else parameters, priority=priority, timeout=timeout
        )

    @asynccontextmanager
    async def process(self, query: str, thread_id: str) -> AsyncGenerator[AsyncIterator[StreamEvent], None]:
        """Answer ``query`` for a block: ``async with agent.process(query, thread_id) as answer: async for event in answer: ...``

        Entering plans and executes, and acquires for the synthesis; what is slow before the first event is this. The
        answer is the stream of the synthesis, after one ``metadata`` event for each phase before it:
        ``{"phase": "plan", "text": ...}``, ``{"phase": "execute", "text": ...}``. The lease is freed at the stream's
        end or error, or when the block is left. Raises what ``engine.call`` and its streams raise.
        """
        check_name("query", query)
        check_name("thread_id", thread_id)
        plan = await self._text(_PLAN, query, thread_id)
        results = await self._text(_EXECUTE.format(plan=plan), query, thread_id)
        synthesis = self._call(_SYNTHESISE.format(plan=plan, results=results), query, thread_id)
        async with synthesis as stream, aclosing(_announced(plan, results, stream)) as answer:
            yield answer

    async def _text(self, instruction: str, query: str, thread_id: str) -> str:
        """Run a phase, and return its whole answer."""
        async with self._call(instruction, query, thread_id) as stream:
            return "".join([str(event.data) async for event in stream if event.type == "token"])

    def _call(self, instruction: str, query: str, thread_id: str) -> EngineCall:
        prompt: list[Message] = [{"role": "system", "content": instruction}, {"role": "user", "content": query}]
        return self._engine.call(prompt, replace(self._options, thread_id=thread_id))


async def _announced(plan: str, results: str, stream: AsyncIterator[StreamEvent]) -> AsyncGenerator[StreamEvent, None]:
    # yields outside of any scope, so it may be left at any point
    yield StreamEvent("metadata", {"phase": "plan", "text": plan})
    yield StreamEvent("metadata", {"phase": "execute", "text": results})
    async for event in stream:
        yield event


@dataclass(frozen=True)
class InstanceConfig:
    """What :func:`create_instance` is made of. ``state`` None: a new one, in memory. Raises ConfigurationError.

    ``observers`` are called with every transition, see ProviderManager.
    """

    providers: ProviderManagerConfig
    state: StateManager | None = None
    observers: Sequence[Observer] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.providers, ProviderManagerConfig):
            raise ConfigurationError("providers", "must be a ProviderManagerConfig", shown(self.providers))
        if self.state is not None and not isinstance(self.state, StateManager):
            raise ConfigurationError("state", "must be a StateManager or None", shown(self.state))
        check_observers(self.observers)


@dataclass(frozen=True)
class AgentFactory:
    """Everything an application needs, wired; made by :func:`create_instance`."""

    manager: ProviderManager
    state: StateManager
    engine: ReasoningEngine

    def agent(
        self, name: str, *, parameters: Mapping[str, Any] | None = None, priority: int = 0, timeout: float | None = None
    ) -> AgentCore:
        """Make an agent, see AgentCore."""
        return AgentCore(self.engine, name, parameters=parameters, priority=priority, timeout=timeout)


@asynccontextmanager
async def create_instance(
    config: InstanceConfig, *, observers: Sequence[Observer] = ()
) -> AsyncGenerator[AgentFactory, None]:
    """Open the manager, the state and the engine for a block: ``async with create_instance(config) as instance``.

    ``observers`` are called with every transition, after those of ``config``. Leaving the block closes the manager.
    Raises ConfigurationError.
    """
    if not isinstance(config, InstanceConfig):
        raise ConfigurationError("config", "must be an InstanceConfig", shown(config))
    state = StateManager() if config.state is None else config.state
    check_observers(observers)
    async with ProviderManager(config.providers, observers=(*config.observers, *observers)) as manager:
        yield AgentFactory(manager, state, ReasoningEngine(manager, state))
