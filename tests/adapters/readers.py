"""Readers of answers without a server around them: bytes in, events out."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from adapters.http import AnswerReader, Bounds, ChatReader, HttpClient, HttpRequest
from statemachine import AdapterError, StreamEvent

SECRET = "one-calls-own-secret"
BOUND_BYTES = 2000


@cache
def client() -> HttpClient:
    return HttpClient("http://host:1/v1", bounds=Bounds(max_body_bytes=BOUND_BYTES))


def shown(event: StreamEvent) -> tuple[str, Any]:
    """An event; of an error its class and text."""
    return (
        (type(event.data).__name__, str(event.data))
        if isinstance(event.data, AdapterError)
        else (event.type, event.data)
    )


def told(
    kind: Callable[[HttpClient, HttpRequest], AnswerReader], *pieces: bytes, end: bool = True
) -> list[tuple[str, Any]]:
    """What a reader makes of a body: nothing is fed after the closing event. ``end``: the body ends properly."""
    reader = kind(client(), HttpRequest("/", {}, {"X-Key": SECRET}))
    events: list[StreamEvent] = []
    for piece in pieces:
        if not reader.closed:
            events += reader.feed(piece)
    if end and not reader.closed:
        events += reader.finish()
    assert reader.closed == any(event.type in ("end", "error") for event in events)
    return [shown(event) for event in events]


def framed(*payloads: object) -> bytes:
    """An event stream of JSON data; texts stand as they are."""
    return b"".join(
        b"data: %s\n\n" % (payload if isinstance(payload, str) else json.dumps(payload)).encode()
        for payload in payloads
    )


def whole(payload: object) -> bytes:
    return json.dumps(payload).encode()


# ---- chats ----

STOP = ("end", "stop")
SERVER = "http://host:1: "
PROTOCOL = "AdapterProtocolError"
UNREADABLE = f"{SERVER}the answer has %s, which cannot be read"


def chunk(delta: object, reason: object = None, **more: Any) -> dict[str, Any]:
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        **more,
    }


def streamed(*deltas: object) -> list[tuple[str, Any]]:
    """What comes of deltas, with the closing event that a good answer has left out."""
    events = told(ChatReader, framed(*map(chunk, deltas), chunk({}, "stop")))
    assert events[-1] == STOP or events[-1][0] == PROTOCOL
    return events[:-1] if events[-1] == STOP else events


def answered(message: object, **more: Any) -> list[tuple[str, Any]]:
    """What comes of a whole answer."""
    return told(ChatReader, whole({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **more}))
