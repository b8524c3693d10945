"""One loaded copy of a model in a mock server: its slots, and the answers that are made in them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import trio

from simulation.timing.latency import ModelSpec

from ..http import ClientGoneError

__all__ = ["CutError", "Job", "Piece", "ServerInstance"]


class CutError(Exception):
    """The instance goes away, and the answer with it. ``crashed``: it was not unloaded, its engine failed; the text says how."""

    def __init__(self, message: str, *, crashed: bool = False) -> None:
        super().__init__(message)
        self.crashed = crashed


class Piece(NamedTuple):
    """One token of an answer. ``call`` numbers the tool calls of a choice."""

    text: str
    kind: Literal["text", "reasoning", "call"] = "text"
    choice: int = 0
    call: int = 0


class Job:
    """One answer under way: what it is made of, and how it ends early. ``pace`` is a factor on all its durations.

    ``leaves_prefill``: a client that goes stops the reading of its prompt, too.
    """

    def __init__(
        self, prompt_tokens: int, pieces: Sequence[Piece], pace: float, *, leaves_prefill: bool = False
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.pieces = pieces
        self.pace = pace
        self._leaves_prefill = leaves_prefill
        self._ended: Exception | None = None
        self._waiting = trio.CancelScope()
        self._in_prefill = False

    def cut(self, error: CutError) -> None:
        """Stop at once: the instance goes."""
        self._ended = error
        self._waiting.cancel()

    def leave(self) -> None:
        """Stop, because the client has gone, but finish reading the prompt first, as the real server does."""
        self._ended = ClientGoneError()
        if self._leaves_prefill or not self._in_prefill:
            self._waiting.cancel()

    async def wait(self, until: Callable[..., Awaitable[object]], *args: object) -> None:
        """Wait for ``until(*args)``. Raises CutError or ClientGoneError when the answer ends before it, or has ended already."""
        if self._ended is None:
            self._waiting = trio.CancelScope()
            with self._waiting:
                await until(*args)
            if not self._waiting.cancelled_caught:
                return
        assert self._ended is not None, "only what ends a job cancels its waiting"
        raise self._ended

    async def prefill(self, seconds: float) -> None:
        """Read the prompt, or a part of it. Raises like :meth:`wait`."""
        self._in_prefill = True
        try:
            await self.wait(trio.sleep, seconds)
        finally:
            self._in_prefill = False


@dataclass(slots=True, eq=False)
class ServerInstance:
    """``id`` is the model's key, or ``key:2`` and so on for further copies. ``jit``: loaded by a request, not explicitly.

    ``config`` is as the server lists it; ``slots`` are first come, first served. ``ttl``: seconds without work after which it goes.
    """

    id: str
    model: ModelSpec
    config: Mapping[str, Any]
    jit: bool
    slots: trio.Semaphore
    ttl: float | None = None
    state: Literal["loading", "loaded", "unloading"] = "loading"
    load_seconds: float = 0.0
    idle_since: float = 0.0
    jobs: dict[Job, None] = field(default_factory=dict)  # in order
    loading: trio.CancelScope = field(default_factory=trio.CancelScope)
    idle: trio.Event = field(default_factory=trio.Event)

    @property
    def running(self) -> int:
        """Answers in a slot."""
        return int(self.config["parallel"]) - self.slots.value

    @property
    def queued(self) -> int:
        """Answers that wait for a slot."""
        return self.slots.statistics().tasks_waiting

    @property
    def expires(self) -> float:
        """When its time to live is over, on trio's clock, if no work comes."""
        return math.inf if self.ttl is None or self.jobs or self.state != "loaded" else self.idle_since + self.ttl

    def enter(self, job: Job) -> None:
        """Let ``job`` wait for a slot."""
        self.jobs[job] = None

    def leave(self, job: Job) -> None:
        """End ``job``."""
        del self.jobs[job]
        self.idle_since = trio.current_time()
        if not self.jobs:
            self.idle.set()
            self.idle = trio.Event()
