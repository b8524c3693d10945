"""A loopback server of Anthropic's messages, as an ASGI application on trio, written from its documented wire.

==============================  ==========================================================
GET  /v1/models                 the models that it knows
POST /v1/messages               streamed or not: thinking, tool use, text
POST /v1/messages/count_tokens
==============================  ==========================================================

An answer has ``max_tokens`` tokens, or 64 where that is more, made up from the seed, the model and the prompt; with thinking some
of thinking come first; with tools it is a use of the first one, unless the last message is a tool's result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ...timing.latency import token_count
from ..faults import BrokenStream, Faults
from ..streamed import CutError, Streamed, Write, fits, made_up_arguments, read_object, while_client_stays
from ..words import made_up_tokens
from . import wire

__all__ = ["MockAnthropic"]

MOST_TOKENS: Final = 64
_SHAPE: Final = {
    "model": str,
    "messages": [{"role": str}],
    "max_tokens": int,
    "thinking": {"type": object},
    "tools": [{"name": str}],
}


class _Refusal(NamedTuple):
    status: int
    kind: str
    text: str
    retry_after: float | None = None

    def answer(self) -> JSONResponse:
        headers = {} if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}
        return JSONResponse(wire.error(self.kind, self.text), self.status, headers)


class MockAnthropic:
    """The application. ``first_token_seconds`` and ``token_seconds`` are its latency; with ``api_key`` every request must carry it, as
    ``x-api-key`` or as a bearer token (as the official client of 2026 does).

    ``faults`` takes orders for mishaps of streams; ``bodies`` are the requests that it got, and ``abandoned`` counts the answers that their
    clients left.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        api_key: str | None = None,
        first_token_seconds: float = 0.0,
        token_seconds: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.models: Final = tuple(models)
        self.faults: Final = Faults()
        self.bodies: list[dict[str, Any]] = []
        self.abandoned = 0
        self._api_key = api_key
        self._first_token_seconds = first_token_seconds
        self._token_seconds = token_seconds
        self._seed = seed
        self._numbers = count(1)
        self._refusals: deque[_Refusal] = deque()
        self._app = Starlette(
            routes=[
                Route("/v1/models", self._list, methods=["GET"]),
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/messages/count_tokens", self._count_tokens, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        await self._app(scope, receive, send)

    def refuse_next(self, status: int, kind: str, text: str, *, retry_after: float | None = None) -> None:
        """Refuse the next message: ``kind`` is the error's type, ``retry_after`` a header's seconds."""
        self._refusals.append(_Refusal(status, kind, text, retry_after))

    async def _list(self, request: Request) -> JSONResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal.answer()
        rows = [
            {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
            for name in self.models
        ]
        return JSONResponse({"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]})

    async def _count_tokens(self, request: Request) -> JSONResponse:
        body = await read_object(request, _SHAPE)
        refusal = self._refusal(request) or self._wrong(body)
        return refusal.answer() if refusal is not None else JSONResponse({"input_tokens": _input_tokens(body or {})})

    async def _messages(self, request: Request) -> ASGIApp:
        body = await read_object(request, _SHAPE)
        refusal = self._refusal(request) or self._wrong(body, "max_tokens")
        if refusal is None and self._refusals:
            refusal = self._refusals.popleft()
        if refusal is not None or body is None:
            return (refusal or _invalid("body: not an object")).answer()
        self.bodies.append(body)
        return partial(self._answer, body)

    def _refusal(self, request: Request) -> _Refusal | None:
        given = (request.headers.get("x-api-key"), request.headers.get("authorization", "").removeprefix("Bearer "))
        if self._api_key is not None and self._api_key not in given:
            return _Refusal(401, "authentication_error", "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            return _invalid("anthropic-version: header is required")
        return None

    def _wrong(self, body: Mapping[str, Any] | None, *required: str) -> _Refusal | None:
        for name in ("model", "messages", *required):
            if body is None or body.get(name) is None:
                return _invalid(f"{name}: Field required")
        assert body is not None
        if body["model"] not in self.models:
            return _Refusal(404, "not_found_error", f"model: {body['model']}")
        if not body["messages"] or any(
            message.get("role") not in ("user", "assistant") for message in body["messages"]
        ):
            return _invalid("messages: roles must be 'user' or 'assistant'")
        return None

    # ---- answers ----

    async def _answer(self, body: Mapping[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
        answer = Streamed(partial(self._stream, body, self.faults.take_stream()), "text/event-stream; charset=utf-8")
        app = answer if body.get("stream") is True else partial(self._whole, body)
        if not await while_client_stays(receive, partial(app, scope, receive, send)):
            self.abandoned += 1

    async def _whole(self, body: Mapping[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
        blocks, reason = self._blocks(body)
        usage = {"input_tokens": _input_tokens(body), "output_tokens": _output_tokens(blocks)}
        await trio.sleep(self._first_token_seconds + self._token_seconds * usage["output_tokens"])
        answer = wire.message(next(self._numbers), body["model"], blocks, reason, usage)
        await JSONResponse(answer)(scope, receive, send)

    async def _stream(self, body: Mapping[str, Any], fault: BrokenStream | None, write: Write) -> None:
        blocks, reason = self._blocks(body)
        usage = {"input_tokens": _input_tokens(body), "output_tokens": 1}
        opening = wire.message(next(self._numbers), body["model"], [], None, usage)
        await write(wire.event({"type": "message_start", "message": opening}))
        await write(wire.event({"type": "ping"}))
        await trio.sleep(self._first_token_seconds)
        deltas = 0
        for event in (event for index, block in enumerate(blocks) for event in wire.block_events(index, block)):
            if event["type"] == "content_block_delta":
                if fault is not None and fault.after_chunks == deltas:
                    await _break(fault, write)
                    return
                await trio.sleep(self._token_seconds)
                deltas += 1
            await write(wire.event(event))
        closing = {"stop_reason": reason, "stop_sequence": None}
        usage = {"output_tokens": _output_tokens(blocks)}
        await write(wire.event({"type": "message_delta", "delta": closing, "usage": usage}))
        await write(wire.event({"type": "message_stop"}))

    def _blocks(self, body: Mapping[str, Any]) -> tuple[list[wire.Block], str]:
        """Return the answer's blocks, and why it stops."""
        origin = (self._seed, body["model"], repr(body["messages"]))
        blocks: list[wire.Block] = []
        if (body.get("thinking") or {}).get("type") == "enabled":
            words = "".join(made_up_tokens(4, "thinking", *origin))
            blocks.append({"type": "thinking", "thinking": words, "signature": "bW9jaw=="})
        tools = body.get("tools")
        if tools and not _is_result(body["messages"][-1]):
            arguments = made_up_arguments(tools[0].get("input_schema"))
            use = {"type": "tool_use", "id": "toolu_mock", "name": tools[0].get("name"), "input": arguments}
            return [*blocks, use], "tool_use"
        most = min(body["max_tokens"], MOST_TOKENS)
        blocks.append({"type": "text", "text": "".join(made_up_tokens(most, *origin))})
        return blocks, "max_tokens" if body["max_tokens"] < MOST_TOKENS else "end_turn"


def _invalid(text: str) -> _Refusal:
    return _Refusal(400, "invalid_request_error", text)


def _is_result(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(
        fits(part, {}) and part and part.get("type") == "tool_result" for part in content
    )


def _input_tokens(body: Mapping[str, Any]) -> int:
    return token_count(repr(body.get("messages")))


def _output_tokens(blocks: Sequence[wire.Block]) -> int:
    return token_count(repr(blocks))


async def _break(fault: BrokenStream, write: Write) -> None:
    if fault.how in ("error", "named_error"):
        await write(wire.event(wire.error("overloaded_error", fault.message)))
    elif fault.how == "drop":
        raise CutError
    elif fault.how == "stall":
        await trio.sleep_forever()
