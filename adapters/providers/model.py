"""The handle of a model: ask it, read its answer as it comes, or ask it several prompts. Each call has a lease of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

import trio

from statemachine.config.call import CallOptions, Message, StreamEvent, ToolCall
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import ModelEvictedError
from statemachine.manager.engine import EngineCall, ReasoningEngine

from .home import Home

__all__ = ["Answer", "Model", "Prompt", "SyncModel"]

Prompt: TypeAlias = str | Sequence[Message]
"""A question, or messages in the OpenAI shape."""

_TRIES: Final = 2


@dataclass(frozen=True)
class Answer:
    """A whole answer. ``tool_calls`` are complete; ``usage`` is the server's count of tokens; ``str(answer)`` is the text.

    ``queued_seconds`` and ``loading_seconds``: how long the call waited for its lease, see :class:`Lease`. Answers are equal if their
    contents are, however long they took.
    """

    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    queued_seconds: float = field(default=0.0, compare=False)
    loading_seconds: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, events: Sequence[StreamEvent], queued: float = 0.0, loading: float = 0.0) -> Answer:
        """Join ``events``, up to their ``end``, to an answer. ``queued`` and ``loading``: seconds that the call waited for its lease."""
        texts = {kind: "".join(str(e.data) for e in events if e.type == kind) for kind in ("token", "reasoning")}
        usage = [e.data["usage"] for e in events if isinstance(e.data, Mapping) and e.data.get("usage")]
        end = events[-1].data if events and events[-1].type == "end" else None
        return cls(
            texts["token"],
            texts["reasoning"],
            _joined([e.data for e in events if isinstance(e.data, ToolCall)]),
            None if end is None else str(end),
            usage[-1] if usage else {},
            queued,
            loading,
        )


def _joined(pieces: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    whole: dict[int, ToolCall] = {}
    for piece in pieces:
        before = whole.get(piece.index, ToolCall(piece.index))
        arguments = before.arguments + piece.arguments
        whole[piece.index] = ToolCall(piece.index, before.id or piece.id, before.name or piece.name, arguments)
    return tuple(whole[index] for index in sorted(whole))


class Model:
    """One model with its options and parameters, for trio and for asyncio. Made by a ModelProvider or an LMStudioSingleton.

    ``parameters`` (temperature, max_tokens, ...) go with each call, and a call's own come first; they never reload a model. ``agent``
    names the caller for scheduling. If the server drops the model before the answer begins, the call is tried once more.
    """

    def __init__(
        self,
        home: Home,
        engine: ReasoningEngine,
        config: RuntimeProviderConfig,
        parameters: Mapping[str, Any] | None = None,
        agent: str | None = None,
    ) -> None:
        self.config: Final = config
        self.parameters: Final = dict(parameters or {})
        self.agent: Final = agent
        self.home: Final = home
        self._engine = engine

    @property
    def provider_name(self) -> str:
        """The provider's name."""
        return self.config.provider_name

    @property
    def model_id(self) -> str:
        """The model's name at its provider."""
        return self.config.model_id

    def named(self, agent: str) -> Model:
        """Return a handle of the same model for the agent with this name."""
        return Model(self.home, self._engine, self.config, self.parameters, agent)

    async def invoke(self, prompt: Prompt, *, tools: Sequence[Mapping[str, Any]] = (), **parameters: Any) -> Answer:
        """Ask, and return the whole answer. Raises what :meth:`ReasoningEngine.call` raises."""
        return await self.home.call(partial(self.invoke_in_trio, prompt, tools, parameters))

    async def stream(
        self, prompt: Prompt, *, tools: Sequence[Mapping[str, Any]] = (), **parameters: Any
    ) -> AsyncGenerator[StreamEvent, None]:
        """Ask, and yield the events of the answer as they come. Close it (``contextlib.aclosing``) if it is not read to its end."""
        for is_last in _tries():
            begun = False
            try:
                async with self.home.entered(self.call(prompt, tools, parameters)) as events:
                    async for event in events:
                        begun = True
                        yield event
                return
            except ModelEvictedError:
                if begun or is_last:
                    raise

    async def batch(self, prompts: Sequence[Prompt], **parameters: Any) -> list[Answer]:
        """Ask several prompts at once, and return the answers in order. The first error cancels the others, and is raised."""
        return await self.home.call(partial(self.batch_in_trio, prompts, parameters))

    def call(self, prompt: Prompt, tools: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> EngineCall:
        """Return the call of the engine, to be entered in the home."""
        options = CallOptions(self.config, parameters={**self.parameters, **parameters}, tools=tools, agent=self.agent)
        return self._engine.call(messages(prompt), options)

    async def invoke_in_trio(
        self, prompt: Prompt, tools: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
    ) -> Answer:
        """Do :meth:`invoke`, in the home."""
        for is_last in _tries():
            events: list[StreamEvent] = []
            try:
                async with self.call(prompt, tools, parameters) as stream:
                    async for event in stream:
                        events.append(event)  # one by one, because events before an error count
                break
            except ModelEvictedError:
                if events or is_last:
                    raise
        return Answer.of(events, stream.lease.queued_seconds, stream.lease.loading_seconds)

    async def batch_in_trio(self, prompts: Sequence[Prompt], parameters: Mapping[str, Any]) -> list[Answer]:
        """Do :meth:`batch`, in the home."""
        answers: dict[int, Answer] = {}

        async def ask(number: int, prompt: Prompt) -> None:
            answers[number] = await self.invoke_in_trio(prompt, (), parameters)

        try:
            async with trio.open_nursery() as nursery:
                for number, prompt in enumerate(prompts):
                    nursery.start_soon(ask, number, prompt)
        except* Exception as group:
            first = _first(group)
        else:
            return [answers[number] for number in range(len(prompts))]
        raise first

    async def load_in_trio(self) -> None:
        """Load the model, in the home, by a lease that is released at once."""
        lease = await self._engine.acquire(CallOptions(self.config, agent=self.agent))
        lease.release()

    def __repr__(self) -> str:
        return f"<Model {self.config!r}>"


class SyncModel:
    """A :class:`Model` for plain threads."""

    def __init__(self, model: Model, home: Home) -> None:
        self.model: Final = model
        self._home = home

    def invoke(self, prompt: Prompt, *, tools: Sequence[Mapping[str, Any]] = (), **parameters: Any) -> Answer:
        """Ask, and return the whole answer."""
        return self._home.wait(partial(self.model.invoke_in_trio, prompt, tools, parameters))

    def stream(
        self, prompt: Prompt, *, tools: Sequence[Mapping[str, Any]] = (), **parameters: Any
    ) -> Generator[StreamEvent, None, None]:
        """Ask, and yield the events of the answer as they come."""
        with self._home.entered_by_a_thread(self.model.call(prompt, tools, parameters)) as events:
            yield from events

    def batch(self, prompts: Sequence[Prompt], **parameters: Any) -> list[Answer]:
        """Ask several prompts at once, and return the answers in order."""
        return self._home.wait(partial(self.model.batch_in_trio, prompts, parameters))

    def named(self, agent: str) -> SyncModel:
        """Return a handle of the same model for the agent with this name."""
        return SyncModel(self.model.named(agent), self._home)

    def __repr__(self) -> str:
        return f"<SyncModel {self.model.config!r}>"


def messages(prompt: Prompt) -> Sequence[Message]:
    """Return ``prompt`` as messages."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def _tries() -> list[bool]:
    """Return, for each try, whether it is the last one."""
    return [False] * (_TRIES - 1) + [True]


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
