"""One loaded copy of a model in the mock server: its slots, and the answers that are made in them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

import trio

from ...timing.latency import ModelSpec
from ..asgi import ClientGoneError

__all__ = ["Instance", "Job", "ModelUnloadedError", "made_up_tokens"]


class ModelUnloadedError(Exception):
    """The instance goes away, and the answer with it."""


class Job:
    """One answer: what it is made of, and how it ends early. ``pace`` is a factor on all its durations."""

    def __init__(self, prompt_tokens: int, tokens: Sequence[str], pace: float) -> None:
        self.prompt_tokens = prompt_tokens
        self.tokens = tokens
        self.pace = pace
        self._ended: Exception | None = None
        self._waiting = trio.CancelScope()
        self._in_prefill = False

    def cut(self) -> None:
        """The model is unloaded: stop at once."""
        self._ended = ModelUnloadedError()
        self._waiting.cancel()

    def leave(self) -> None:
        """The client has gone: stop, but finish reading the prompt first, as the real server does."""
        self._ended = ClientGoneError()
        if not self._in_prefill:
            self._waiting.cancel()

    async def wait(self, until: Callable[..., Awaitable[object]], *args: object) -> None:
        """Wait for ``until(*args)``. Raises ModelUnloadedError or ClientGoneError when the answer ends before it, or has ended already."""
        if self._ended is None:
            self._waiting = trio.CancelScope()
            with self._waiting:
                await until(*args)
            if not self._waiting.cancelled_caught:
                return
        assert self._ended is not None, "only what ends a job cancels its waiting"
        raise self._ended

    async def prefill(self, seconds: float) -> None:
        """Read the prompt. Raises like :meth:`wait`."""
        self._in_prefill = True
        try:
            await self.wait(trio.sleep, seconds)
        finally:
            self._in_prefill = False


@dataclass(slots=True, eq=False)
class Instance:
    """``id`` is the model's key, or ``key:2`` and so on for further copies. ``jit``: loaded by a request, not explicitly.

    ``config`` is as the server lists it; ``slots`` are first come, first served.
    """

    id: str
    model: ModelSpec
    config: Mapping[str, Any]
    jit: bool
    slots: trio.Semaphore
    state: Literal["loading", "loaded", "unloading"] = "loading"
    load_seconds: float = 0.0
    jobs: dict[Job, None] = field(default_factory=dict)  # in order

    @property
    def running(self) -> int:
        """Answers in a slot."""
        return int(self.config["parallel"]) - self.slots.value

    @property
    def queued(self) -> int:
        """Answers that wait for a slot."""
        return self.slots.statistics().tasks_waiting


def made_up_tokens(count: int, *origin: str | int) -> list[str]:
    """``count`` words, always the same for the same ``origin``."""
    return Random(repr(origin)).choices(_WORDS, k=count)


_WORDS: Final = tuple(
    f"{word} "
    for word in re.findall(
        r"\w+",
        "an and as at by each for from in is it no not of on one or over so than that the then there this to was with"
        " answer case cost day end fact form hand line name part place point question reason rule side state step way",
    )
)
