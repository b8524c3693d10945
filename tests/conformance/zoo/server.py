"""A model server in memory, in virtual time: what the zoo's adapters talk to, and what its back door looks at.

An answer is a list of frames, each one a JSON line: ``{"piece": text}``, ``{"call": {...}}``, ``{"note": ...}``, ``{"error": {...}}``,
``{"done": reason}``. The body's end is None.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from typing import Any

import trio

from adapters.conformance import Heard
from statemachine import Message

Frame = str | None

LOAD_SECONDS, UNLOAD_SECONDS, FIRST_SECONDS, PIECE_SECONDS = 2.0, 0.5, 0.2, 0.05
TOKEN = "sk-zoo-0123456789abcdef"


class LostError(OSError):
    """The connection does not stand, or not any more. ``sent``: whether the request had been sent."""


class RefusedError(Exception):
    """The server's answer is an error."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class Connection:
    """One answer under way. It must be closed."""

    def __init__(self, server: Server, frames: Sequence[str], fault: str | None) -> None:
        self.server = server
        self.frames = list(frames)
        self.fault = fault
        self.given = 0
        server.open.add(self)

    async def receive(self) -> Frame:
        """The next frame; None at the body's end. Raises LostError."""
        if self not in self.server.open:
            raise LostError("closed")
        await trio.sleep(PIECE_SECONDS if self.given else FIRST_SECONDS)
        if self.fault == "silent" or (self.fault == "stalled" and self.given == 1):
            await trio.sleep_forever()
        if self.given == 1 and (broken := self._broken()) is not None:
            self.fault = None
            del self.frames[1:]  # nothing follows
            return broken
        if self.fault == "truncated" and self.given == 1:
            return None
        if self.given == len(self.frames):
            return None
        self.given += 1
        self.server.pieces += 1
        return self.frames[self.given - 1]

    def _broken(self) -> str | None:
        if self.fault == "cut":
            raise LostError("the connection broke")
        if self.fault == "error_in_stream":
            return json.dumps({"error": {"kind": "internal", "message": "out of luck"}})
        if self.fault == "evicted":
            self.server.loaded.clear()
            return json.dumps({"error": {"kind": "unloaded", "message": "the model was unloaded"}})
        return None

    def close(self) -> None:
        """Free it."""
        self.server.open.discard(self)


class Server:
    """Holds any number of models. ``fault`` is what it does wrong now."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}  # id -> model
        self.open: set[Connection] = set()
        self.fault: str | None = None
        self.requests = 0
        self.pieces = 0
        self.shared: dict[str, Any] = {}  # what the adapters of a process share
        self.heard: dict[str, Heard] = {}  # last message -> what was understood of the request
        self._numbers = count(1)

    async def instances(self) -> dict[str, str]:
        """What is loaded: id -> model."""
        self.requests += 1
        await trio.sleep(0.01)
        return dict(self.loaded)

    async def load(self, model: str) -> str:
        """Load one more instance, also when the client does not wait for it. Raises RefusedError and LostError."""
        self.requests += 1
        if self.fault == "load_silent":
            await trio.sleep_forever()
        if self.fault == "load_fails":
            await trio.sleep(LOAD_SECONDS)
            raise RefusedError(500, "load_failed", "failed to load")
        new = f"{model}:{next(self._numbers)}"
        self.loaded[new] = model
        await trio.sleep(LOAD_SECONDS)
        if self.fault == "load_lost":
            self.fault = None
            raise LostError("the answer was lost")
        return new

    async def unload(self, instance: str) -> None:
        """Unload it. Raises RefusedError and LostError."""
        self.requests += 1
        if self.fault == "unload_silent":
            await trio.sleep_forever()
        if self.fault == "unload_lost":
            self.fault = None
            raise LostError("the request was lost")
        await trio.sleep(UNLOAD_SECONDS)
        if self.loaded.pop(instance, None) is None:
            raise RefusedError(404, "not_found", "not loaded")

    async def ask(
        self, instance: str, messages: Sequence[Message], *, token: str | None, tools: bool = False
    ) -> Connection:
        """Begin an answer. Raises RefusedError and LostError."""
        prompt = str(messages[-1]["content"])
        self.requests += 1
        await trio.sleep(0.01)
        if self.fault == "gone":
            raise LostError("nobody answers")
        refusals: Mapping[str, RefusedError] = {
            "busy": RefusedError(503, "busy", "try again later"),
            "refused": RefusedError(400, "invalid", "temperature must be a number"),
            "unauthorised": RefusedError(401, "auth", f"the token {token} is not known"),
            "denied": RefusedError(404, "not_found", "no such model"),
        }
        if self.fault is not None and self.fault in refusals:
            raise refusals[self.fault]
        if self.fault == "error_body":
            return Connection(
                self, [json.dumps({"error": {"kind": "endpoint", "message": "unexpected endpoint"}})], None
            )
        if instance not in self.loaded:
            raise RefusedError(404, "not_found", "no such model")
        self.heard[prompt] = Heard(self.loaded[instance], [json.dumps(message) for message in messages])
        frames = self._frames(prompt, tools)
        return Connection(self, _oddly(frames) if self.fault == "odd" else frames, self.fault)

    def _frames(self, prompt: str, tools: bool) -> list[str]:
        if tools:
            calls = [
                {"index": 0, "id": "c1", "name": "weather", "text": '{"city": '},
                {"index": 0, "text": '"Rome"}'},
                {"index": 1, "id": "c2", "name": "weather", "text": '{"city": "Oslo"}'},
            ]
            return [*(json.dumps({"call": call}) for call in calls), json.dumps({"done": "tool_calls"})]
        pieces = [json.dumps({"piece": piece}, ensure_ascii=False) for piece in pieces_of(prompt)]
        return [*pieces, json.dumps({"note": {"tokens": len(pieces)}}), json.dumps({"done": "stop"})]

    @contextmanager
    def failing(self, fault: str) -> Any:
        """In here the server does wrong."""
        self.fault = fault
        if fault == "foreign":
            self.loaded[f"foreign-{next(self._numbers)}"] = "model"
        try:
            yield
        finally:
            self.fault = None

    @asynccontextmanager
    async def planted(self, fault: str) -> AsyncIterator[None]:
        """The same, as the suite wants it."""
        with self.failing(fault):
            yield


FAULTS = (
    *(
        "load_fails",
        "load_silent",
        "load_lost",
        "foreign",
        "busy",
        "refused",
        "unauthorised",
        "denied",
        "error_body",
        "error_in_stream",
    ),
    *("gone", "cut", "truncated", "silent", "stalled", "evicted", "odd", "unload_lost", "unload_silent"),
)


def pieces_of(prompt: str) -> list[str]:
    """The answer to ``prompt``: its words, each with the blank behind it, and a blank line at the end."""
    return [f"{word} " for word in prompt.split()] + ["\n"]


def _oddly(frames: Sequence[str]) -> list[str]:
    """The same answer, with keep-alives and empty pieces between."""
    odd = [frame for each in frames for frame in ("", json.dumps({"piece": ""}), each)]
    return [*odd[:-1], ": keep-alive", odd[-1]]


def planters(server: Server) -> dict[str, Callable[[], Any]]:
    """The back door's faults."""
    return {fault: partial(server.planted, fault) for fault in FAULTS}
