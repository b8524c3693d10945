"""Readers of answers without a server around them: bytes in, events out."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from adapters.http import AnswerReader, Bounds, HttpClient, HttpRequest
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
