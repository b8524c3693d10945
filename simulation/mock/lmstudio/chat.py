"""One chat of the mock server on the wire: what is asked, and the two forms of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import trio

from ...timing.latency import token_count
from ..asgi import Exchange
from ..engine.instance import Job
from ..faults import BrokenStream
from . import wire

__all__ = ["PROMPT_TOKENS_HEADER", "ChatRequest", "Identity", "StreamedAnswer", "WholeAnswer"]

PROMPT_TOKENS_HEADER: Final = "x-mock-prompt-tokens"
DEFAULT_MAX_TOKENS: Final = 64


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request, checked. ``finish_reason`` is how its answer will end."""

    model: str
    prompt: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: str
    stream: bool
    include_usage: bool

    @classmethod
    def parse(cls, body: Mapping[str, Any], headers: Mapping[str, str]) -> ChatRequest:
        """Raises Refusal."""
        for name, kind, expected in (("model", str, "a string"), ("messages", list, "an array")):
            if name not in body:
                raise wire.missing(name)
            if not isinstance(body[name], kind):
                raise wire.invalid_type(name, expected)
        prompt = "\n".join(_texts(body["messages"]))
        most = body.get("max_tokens")
        if most is not None and (isinstance(most, bool) or not isinstance(most, int)):
            raise wire.invalid_type("max_tokens", "an integer")
        if most is not None and most < 0:  # the server's word for no bound
            most = None
        options = body.get("stream_options")
        return cls(
            model=body["model"],
            prompt=prompt,
            prompt_tokens=_prompt_tokens(prompt, headers),
            output_tokens=DEFAULT_MAX_TOKENS if most is None else most,
            finish_reason="stop" if most is None else "length",
            stream=body.get("stream") is True,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        )


def _texts(messages: Iterable[Any]) -> Iterable[str]:
    """The texts of all messages, which are strings or arrays of parts."""
    for message in messages:
        if not isinstance(message, dict):
            raise wire.invalid_type("messages", "an array of objects")
        content = message.get("content")
        for part in content if isinstance(content, list) else [content]:
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str):
                yield text


def _prompt_tokens(prompt: str, headers: Mapping[str, str]) -> int:
    hint = headers.get(PROMPT_TOKENS_HEADER)
    if hint is None:
        return token_count(prompt)
    if not (hint.isascii() and hint.isdigit()):
        raise wire.invalid_type(PROMPT_TOKENS_HEADER, "a number of tokens")
    return int(hint)


@dataclass(frozen=True, slots=True)
class Identity:
    """What every piece of one answer repeats. ``created`` is in seconds, on the server's clock."""

    id: str
    created: int
    model: str


class WholeAnswer:
    """Collects the pieces and sends one body."""

    def __init__(self, exchange: Exchange, identity: Identity, job: Job) -> None:
        self._exchange = exchange
        self._identity = identity
        self._job = job
        self._pieces: list[str] = []

    async def add(self, text: str) -> bool:
        """Keep one piece."""
        self._pieces.append(text)
        return True

    async def finish(self, finish_reason: str) -> None:
        """Send it."""
        identity = self._identity
        text = "".join(self._pieces)
        body = wire.completion(identity.id, identity.created, identity.model, text, finish_reason, self._job)
        await self._exchange.send_json(200, body)


class StreamedAnswer:
    """Sends each piece at once. ``add`` returns False, and the answer is over, where it broke as ``fault`` says."""

    def __init__(
        self, exchange: Exchange, identity: Identity, job: Job, include_usage: bool, fault: BrokenStream | None
    ) -> None:
        self._exchange = exchange
        self._identity = identity
        self._job = job
        self._include_usage = include_usage
        self._fault = fault
        self._sent = 0

    async def add(self, text: str) -> bool:
        """Send one piece."""
        if await self._breaks():
            return False
        role = {"role": "assistant"} if self._sent == 0 else {}
        await self._send({**role, "content": text})
        self._sent += 1
        return True

    async def finish(self, finish_reason: str) -> None:
        """Send what closes a stream."""
        if await self._breaks():
            return
        await self._send({}, finish_reason)
        if self._include_usage:
            identity = self._identity
            last = wire.chunk(identity.id, identity.created, identity.model, None)
            await self._exchange.send_event({**last, "usage": wire.usage(self._job)})
        await self._exchange.send_event("[DONE]")
        await self._exchange.end_stream()

    async def _send(self, delta: wire.Body, finish_reason: str | None = None) -> None:
        identity = self._identity
        await self._exchange.send_event(wire.chunk(identity.id, identity.created, identity.model, delta, finish_reason))

    async def _breaks(self) -> bool:
        fault = self._fault
        if fault is None or fault.after_chunks != self._sent:
            return False
        await self._exchange.start_stream()
        if fault.how == "stall":
            await self._job.wait(trio.sleep_forever)
        if fault.how == "error":
            await self._exchange.send_event(wire.engine_error(fault.message).body)
        elif fault.how == "named_error":
            await self._exchange.send_event(wire.engine_error(fault.message).body["error"], event="error")
        if fault.how != "drop":
            await self._exchange.end_stream()
        return True
