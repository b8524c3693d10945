"""A server that says what it is told to say, and how it says it: what the tests of OpenAI-compatible chats share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import trio
import trio.testing
from starlette.types import Receive, Send

from adapters.http.bounds import Bounds
from adapters.http.chat import stream_chat
from adapters.http.client import HttpClient
from adapters.http.messages import chat_request
from simulation.mock.transport import StreamingTransport
from statemachine import CallOptions, StreamEvent

PROMPT = [{"role": "user", "content": "hi"}]
TOKEN = "sk-lm-abcdefgh:0123456789abcdefghij"
SSE = "text/event-stream"
OVERFLOW = "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096)."


def openai(text: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": text, "type": kind, "param": "model", "code": code}}


class Scripted:
    """An application that answers every request alike: pieces of a body, then the body's end, a cut, or silence until the client leaves."""

    def __init__(self, *pieces: str | bytes, status: int = 200, kind: str = SSE, then: str = "end") -> None:
        self.pieces = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
        self.status = status
        self.kind = kind
        self.then = then
        self.headers: dict[bytes, bytes] = {}
        self.body: Any = None
        self.client_left = trio.Event()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.headers = dict(scope["headers"])
        self.body = json.loads((await receive())["body"])
        head = [(b"content-type", self.kind.encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if self.then == "end":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        elif self.then == "silence":
            await receive()
            self.client_left.set()


async def ask(app: Scripted, *, read_timeout: float | None = 5, **options: Any) -> list[StreamEvent]:
    async with StreamingTransport(app) as transport:
        http = HttpClient(
            "http://host",
            token=TOKEN,
            bounds=Bounds.of({"connect_timeout": 1, "read_timeout": read_timeout}),
            transport=transport,
        )
        request = chat_request("m", PROMPT, CallOptions(**options))
        events = [event async for event in stream_chat(http, request)]
        await http.aclose()
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    return events


def chunk(delta: Any = None, finish_reason: str | None = None, **more: Any) -> str:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': choices, **more})}\n\n"


DONE = "data: [DONE]\n\n"
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
