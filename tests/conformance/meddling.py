"""A mock server with something between it and its clients, which looks and does wrong: the back door of our own adapters' subjects."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar

import httpx
import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.conformance import Heard, Subject
from simulation.mock.transport import StreamingTransport
from statemachine import Message as ChatMessage


class Meddler:
    """The application. ``kind`` tells of a request's path and body whether it is a ``chat``, a ``load`` or an ``unload``; ``blank`` stands
    between two frames."""

    def __init__(
        self,
        app: ASGIApp,
        kind: Callable[[str, bytes], str],
        *,
        blank: bytes = b"\n\n",
        refusals: Mapping[str, tuple[int, Any]],
        error_frame: bytes,
    ) -> None:
        self.app = app
        self.kind, self.blank = kind, blank
        self.refusals = refusals
        self.error_frame = error_frame
        self.frames_before = 4  # of an answer, before it goes wrong
        self.fault: str | None = None
        self.requests = self.open = self.pieces = 0
        self.sent: dict[str, bytes] = {}  # prompt -> the body of its last answer
        self.asked: dict[str, dict[str, Any]] = {}  # prompt -> the body of its last request
        self.evict: Callable[[], Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        request = await receive()
        kind = self.kind(scope["path"], request.get("body", b""))
        if (kind, self.fault) in (("load", "load_silent"), ("unload", "unload_silent")):
            await _until_gone(receive)
        elif (kind, self.fault) == ("load", "load_lost"):
            self.fault = None
            await self.app(scope, _replayed(request, receive), _lost)
        elif (kind, self.fault) == ("unload", "unload_lost"):
            self.fault = None
        elif kind == "chat":
            self.open += 1
            try:
                await self._chat(scope, request, receive, send)
            finally:
                self.open -= 1
        else:
            await self.app(scope, _replayed(request, receive), send)

    async def _chat(self, scope: Scope, request: Message, receive: Receive, send: Send) -> None:
        if self.fault == "silent":
            await _until_gone(receive)
        elif self.fault is not None and self.fault in self.refusals:
            status, body = self.refusals[self.fault]
            headers = dict(scope["headers"])
            token = headers.get(b"authorization", headers.get(b"x-api-key", b"")).decode()
            await _answer(send, status, json.dumps(body).replace("TOKEN", token).encode())
        else:
            passage = _Passage(self, request, receive, send)
            with passage.scope:
                await self.app(scope, _replayed(request, receive), passage.send)
            await passage.afterwards()


def _replayed(request: Message, receive: Receive) -> Receive:
    """The same, with the request that was read already in front."""
    read = [request]

    async def replayed() -> Message:
        return read.pop() if read else await receive()

    return replayed


async def _lost(message: Message) -> None:
    """An answer that does not arrive."""


class _Passage:
    """One answer on its way through, frame by frame."""

    def __init__(self, meddler: Meddler, request: Message, receive: Receive, send: Send) -> None:
        self._meddler = meddler
        self._receive, self._send = receive, send
        self._frames = 0
        self._held = b""
        self._prompt = _prompt(request["body"])
        meddler.asked[self._prompt] = json.loads(request["body"])
        meddler.sent[self._prompt] = b""
        self._streams = False
        self.scope = trio.CancelScope()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = dict(message["headers"]).get(b"content-type", b"")
            self._streams = b"event-stream" in kind or b"ndjson" in kind
            self._fails_whole = not self._streams and self._meddler.fault in _BREAKING
            if self._fails_whole:
                message = {**message, "headers": [h for h in message["headers"] if h[0] != b"content-length"]}
            await self._send(message)
            return
        for frame in self._split(message):
            await self._one(frame)
        if not message.get("more_body", False):
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _split(self, message: Message) -> list[bytes]:
        body = message.get("body", b"")
        if not self._streams:
            return [body[: len(body) // 2]] if self._fails_whole else [body]
        blank = self._meddler.blank
        *whole, self._held = (self._held + body).split(blank)
        if not message.get("more_body", False) and self._held:
            whole, self._held = [*whole, self._held], b""
        return [frame + blank for frame in whole]

    async def _one(self, frame: bytes) -> None:
        fault, meddler = self._meddler.fault, self._meddler
        if fault in _BREAKING and (self._frames == meddler.frames_before or self._fails_whole):
            if self._fails_whole:
                await self._pass(frame)
            if fault == "evicted" and meddler.evict is not None:
                await meddler.evict()
                return
            self.scope.cancel()
            await trio.lowlevel.checkpoint()
        self._frames += 1
        if fault == "odd" and self._streams and meddler.blank == b"\n\n":
            await self._send({"type": "http.response.body", "body": b": keep-alive\n\n" + frame[:7], "more_body": True})
            await self._send({"type": "http.response.body", "body": frame[7:], "more_body": True})
            meddler.sent[self._prompt] += frame
        else:
            await self._pass(frame)

    async def _pass(self, frame: bytes) -> None:
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})
        self._meddler.pieces += 1
        self._meddler.sent[self._prompt] += frame

    async def afterwards(self) -> None:
        """What comes in the place of the rest."""
        if not self.scope.cancelled_caught:
            return
        fault = self._meddler.fault
        if fault == "stalled":
            await _until_gone(self._receive)
        elif fault == "error_in_stream":
            await self._send({"type": "http.response.body", "body": self._meddler.error_frame, "more_body": False})
        elif fault == "truncated":
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


_BREAKING = ("cut", "truncated", "stalled", "error_in_stream", "evicted")


def _prompt(body: bytes) -> str:
    """The last message, which is called ``input`` in some protocols."""
    given = json.loads(body)
    return str((given.get("messages") or given["input"])[-1]["content"])


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, body: bytes) -> None:
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class _Line(httpx.AsyncBaseTransport):
    """The network: it may be down for calls."""

    def __init__(self, meddler: Meddler, transport: StreamingTransport) -> None:
        self._meddler = meddler
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread() if request.method == "POST" else b""
        if self._meddler.fault == "gone" and self._meddler.kind(request.url.path, body) == "chat":
            raise httpx.ConnectError("nobody listens", request=request)
        return await self._transport.handle_async_request(request)


class MeddledSubject(Subject):
    """Subclass it: make ``self.meddler`` in the constructor, and say what ``text`` the server has sent."""

    faults: ClassVar[Collection[str]] = ()
    meddler: Meddler
    line: _Line

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with StreamingTransport(self.meddler) as transport:
            self.line = _Line(self.meddler, transport)
            yield

    def connections(self) -> int:
        return self.meddler.open

    def requests(self) -> int:
        return self.meddler.requests

    def pieces_sent(self) -> int:
        return self.meddler.pieces

    def expected_text(self, prompt: Sequence[ChatMessage]) -> str | None:
        body = self.meddler.sent.get(str(prompt[-1]["content"]))
        return None if body is None else self.text(body)

    def text(self, body: bytes) -> str:
        """What the tokens in an answer's body join to."""
        raise NotImplementedError

    def heard(self, prompt: Sequence[ChatMessage]) -> Heard | None:
        asked = self.meddler.asked.get(str(prompt[-1]["content"]))
        if asked is None:
            return None
        before = [asked[name] for name in ("instructions", "system") if name in asked]
        said = [json.dumps(each, ensure_ascii=False) for each in (*before, *(asked.get("messages") or asked["input"]))]
        return Heard(re.sub(r":\d+$", "", asked["model"]), said)  # an instance's number is no part of its model's name

    def server_faults(self) -> Mapping[str, Callable[[], Any]]:
        return {fault: partial(self._planted, fault) for fault in self.faults}

    @asynccontextmanager
    async def _planted(self, fault: str) -> AsyncIterator[None]:
        self.meddler.fault = fault
        await self.plant(fault)
        try:
            yield
        finally:
            self.meddler.fault = None

    async def plant(self, fault: str) -> None:
        """What the server itself must do for it."""


def sse_payloads(body: bytes) -> list[dict[str, Any]]:
    """The JSON objects in an event stream, or the one that the body is."""
    if body[:1] == b"{":
        return [json.loads(body)]
    frames = [frame.removeprefix(b"data: ") for frame in body.split(b"\n\n") if frame.startswith(b"data: {")]
    return [json.loads(frame) for frame in frames]


def responses_text(body: bytes) -> str:
    """What a server that speaks OpenAI's responses has sent."""
    try:
        payloads = _events(body)
    except ValueError:
        return ""
    whole = [part.get("text", "") for part in _parts(payloads[0])] if payloads else []
    kinds = "response.output_text.delta"
    return "".join([*whole, *(payload["delta"] for payload in payloads if payload.get("type") == kinds)])


def _parts(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [part for item in payload.get("output", ()) if item["type"] == "message" for part in item["content"]]


def native_text(body: bytes) -> str:
    """What LM Studio's own chat has sent."""
    try:
        payloads = _events(body)
    except ValueError:
        return ""
    whole = [item["content"] for payload in payloads for item in payload.get("output", ()) if item["type"] == "message"]
    pieces = [payload["content"] for payload in payloads if payload.get("type") == "message.delta"]
    return "".join([*whole, *pieces])


def _events(body: bytes) -> list[dict[str, Any]]:
    """The data of each event of a stream whose events have names, or the whole body."""
    frames = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(frame) for frame in frames or [body]]


def anthropic_text(body: bytes) -> str:
    """What a server that speaks Anthropic's messages has sent."""
    try:
        payloads = _events(body)
    except ValueError:
        return ""
    whole = [part.get("text", "") for payload in payloads for part in payload.get("content", ()) or ()]
    pieces = [payload["delta"].get("text", "") for payload in payloads if payload.get("type") == "content_block_delta"]
    return "".join([*whole, *pieces])


def ollama_text(body: bytes) -> str:
    """What an Ollama has sent."""
    try:
        payloads = [json.loads(line) for line in body.split(b"\n") if line]
    except ValueError:
        return ""
    return "".join((payload.get("message") or {}).get("content") or "" for payload in payloads)


def openai_text(body: bytes) -> str:
    """What an OpenAI-compatible server has sent."""
    try:
        payloads = sse_payloads(body)
    except ValueError:  # cut
        return ""
    choices = [choice for payload in payloads for choice in payload.get("choices", ())]
    return "".join((choice.get("delta") or choice.get("message") or {}).get("content") or "" for choice in choices)
