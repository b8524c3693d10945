"""Record the calls of a live manager as a trace: who called which model when, after what, with how many tokens. No text is kept.

::

    recorder = TraceRecorder()
    provider = ProviderConfig("local", recorder.watched(LMStudioAdapter), is_local=True)
    async with ProviderManager(ProviderManagerConfig([provider]), observers=[recorder]) as manager:
        ...
    recorder.write(Path("trace.jsonl"))

As an observer of the manager it sees when each request was made; the watched adapter sees the answer and its usage. A request and its
call are matched by their context (:mod:`contextvars`). Dependencies are inferred from the times, as for spans.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import trio

from statemachine.config.adapter import Adapter, AdapterConfig, AdapterFactory
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.core.events import Transition
from statemachine.text import fit_to_show

from ..workloads.traces.fields import NAME_LIMIT, TOKENS_LIMIT
from ..workloads.traces.notes import Notes
from ..workloads.traces.schema import TraceCall, at_least_one_token
from ..workloads.traces.slots import write_slots
from ..workloads.traces.spans import spans_to_calls

__all__ = ["TraceRecorder"]

_OPTIONAL: Final = ("start", "shutdown", "forward")
_PROMPT: Final = ("prompt_tokens", "input_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens")
_CACHED: Final = ("cached_tokens", "cache_read_input_tokens")


class TraceRecorder:
    """Collects the calls that ended; one recorder for one manager, which observes it."""

    def __init__(self) -> None:
        self.notes = Notes()
        self._asked: ContextVar[list[float]] = ContextVar("asked")  # inherited by the task that reads the answer
        self._spans: list[tuple[float, float, TraceCall]] = []

    def __call__(self, transition: Transition) -> None:
        """Take notice of a transition: a new request belongs to the task that makes it."""
        if transition.machine == "request" and transition.source == "new":
            self._asked.set([transition.time])

    def watched(self, factory: AdapterFactory) -> AdapterFactory:
        """Return a factory whose adapters are those of ``factory``, with their calls recorded."""

        def make(config: AdapterConfig) -> Adapter:
            return _WatchedAdapter(factory(config), config.model_id, self)

        if hasattr(factory, "is_local"):
            make.is_local = factory.is_local  # type: ignore[attr-defined]  # what a class of adapters declares
        return make

    def asked_at(self) -> float:
        """Return when the request was made whose first call begins now; now, where that is not known."""
        asked = self._asked.get([])
        return asked.pop() if asked else trio.current_time()

    def add(self, asked: float, call: TraceCall) -> None:
        """Keep ``call``, which was asked for at ``asked`` and ends now."""
        self._spans.append((asked, trio.current_time(), at_least_one_token(call, self.notes)))

    def calls(self) -> list[TraceCall]:
        """Return the calls that have ended, by when they were made."""
        return list(spans_to_calls(list(self._spans)))

    def write(self, path: Path) -> int:
        """Write a trace in our own format. Returns the number of calls. Raises OSError."""
        with path.open("w", encoding="utf-8") as stream:
            return write_slots(stream, self.calls())


class _WatchedAdapter:
    """An adapter whose calls are recorded; what is optional is there where ``inner`` has it."""

    def __init__(self, inner: Adapter, model: str, recorder: TraceRecorder) -> None:
        self._inner = inner
        self._model = model
        self._recorder = recorder
        for name in _OPTIONAL:
            if callable(method := getattr(inner, name, None)):
                setattr(self, name, method)

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        """Stream the answer of ``inner``."""
        asked = self._recorder.asked_at()
        usage: dict[str, Any] = {}
        async with aclosing(self._inner.call(prompt, options)) as events:  # type: ignore[type-var]  # a generator in practice
            async for event in events:
                if event.type == "metadata" and isinstance(event.data, Mapping):
                    usage |= _usage(event.data)
                elif event.type == "end":
                    self._recorder.add(asked, self._recorded(options, usage))
                yield event

    def _recorded(self, options: CallOptions, usage: Mapping[str, Any]) -> TraceCall:
        details = usage.get("prompt_tokens_details")
        cached = _tokens({**usage, **(details if isinstance(details, Mapping) else {})}, _CACHED)
        agent, thread = options.agent, options.thread_id
        session = thread or agent
        return TraceCall(
            prompt_tokens=_tokens(usage, _PROMPT),
            completion_tokens=_tokens(usage, _OUTPUT),
            session=None if session is None else _name(session),
            agent=None if agent is None else _name(agent),
            model=_name(self._model),
            cached_tokens=cached,
        )


def _usage(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    usage = metadata.get("usage")
    return usage if isinstance(usage, Mapping) else {}


def _tokens(usage: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Return the first count among ``names``; 0 where the server tells none that makes sense."""
    for name in names:
        value = usage.get(name)
        if type(value) is int and 0 <= value <= TOKENS_LIMIT:
            return value
    return 0


def _name(text: str) -> str:
    return fit_to_show(text, NAME_LIMIT)
