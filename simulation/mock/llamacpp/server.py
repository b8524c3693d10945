"""A loopback llama.cpp server in router mode, as an ASGI application on trio, written from what the real one was seen to say.

==================================  =================================================================
GET  /health
GET  /models, /v1/models            every model and its state
POST /models/load, /models/unload   answer at once; what comes of it is listed, and told by the events
GET  /models/sse                    an event for every change
POST /v1/chat/completions           streamed or not; loads the model (not with ``?autoload=false``), and waits for room
==================================  =================================================================

An answer has ``max_tokens`` tokens (64 where the request does not say). A model that is killed in mid-answer ends the body without a word;
one that is unloaded ends it with a line that is no event. Not mocked: embeddings, tools, slots, completions.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, Final

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ...timing.latency import LatencyProfile, ModelSpec, token_count
from ..faults import BrokenStream, Faults
from ..streamed import CutError, Streamed, Write, read_object, while_client_stays
from ..words import made_up_tokens
from .router import Child, Router, RouterError

__all__ = ["MockLlamaCpp"]

DEFAULT_TOKENS: Final = 64
_CHAT: Final = {"model": str, "messages": [{"role": str}], "max_tokens": int, "stream_options": dict}
_NOT_FOUND: Final = {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}


class MockLlamaCpp:
    """The application, to be used in the block of ``running()``. ``router`` is what it holds; ``faults`` takes orders for mishaps.

    ``most`` is ``--models-max``. ``requests`` are the paths that were asked for; ``abandoned`` counts answers that their clients left.
    """

    def __init__(self, models: Sequence[ModelSpec], profile: LatencyProfile | None = None, *, most: int = 1) -> None:
        self.faults: Final = Faults()
        self.profile: Final = profile or LatencyProfile()
        self.router: Final = Router({model.key: model for model in models}, self.profile, self.faults, most)
        self.requests: list[str] = []
        self.abandoned = 0
        self._numbers = count(1)
        self._app = Starlette(
            routes=[
                Route("/health", self._health, methods=["GET"]),
                Route("/models", self._list, methods=["GET"]),
                Route("/v1/models", self._list, methods=["GET"]),
                Route("/models/load", self._load, methods=["POST"]),
                Route("/models/unload", self._unload, methods=["POST"]),
                Route("/models/sse", self._events, methods=["GET"]),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/{path:path}", self._unknown, methods=["GET", "POST"]),
            ]
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MockLlamaCpp]:
        """Run the loads and unloads in this context manager's block."""
        async with trio.open_nursery() as nursery:
            self.router.nursery = nursery
            yield self
            nursery.cancel_scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] == "http":
            self.requests.append(scope["path"])
            if (answer := self.faults.take_answer(scope["path"])) is not None:
                await JSONResponse(answer.body, answer.status)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    # ---- models ----

    async def _health(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def _unknown(self, request: Request) -> JSONResponse:
        return JSONResponse(_NOT_FOUND, 404)

    async def _list(self, request: Request) -> JSONResponse:
        rows = [_row(name, child) for name, child in self.router.children.items()]
        return JSONResponse({"data": rows, "object": "list"})

    async def _load(self, request: Request) -> JSONResponse:
        name = (await read_object(request, {"model": str}) or {}).get("model")
        if name not in self.router.children:
            return JSONResponse(_NOT_FOUND, 404)
        return _done(self.router.load, name)

    async def _unload(self, request: Request) -> JSONResponse:
        return _done(self.router.unload, str((await read_object(request, {"model": str}) or {}).get("model")))

    async def _events(self, request: Request) -> ASGIApp:
        return self._tell

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender, receiver = trio.open_memory_channel[dict[str, Any]](1000)

        async def produce(write: Write) -> None:
            async for event in receiver:
                await write(b"data: " + json.dumps(event).encode() + b"\n\n")

        self.router.listeners.append(sender.send_nowait)
        try:
            await while_client_stays(receive, partial(Streamed(produce, "text/event-stream"), scope, receive, send))
        finally:
            self.router.listeners.remove(sender.send_nowait)

    # ---- chat ----

    async def _chat(self, request: Request) -> ASGIApp:
        body = await read_object(request, _CHAT)
        if body is None or not isinstance(body.get("messages"), list):
            return _refusal(RouterError(400, "invalid_request_error", "Expected 'messages' to be an array"))
        child = self.router.children.get(str(body.get("model")))
        if request.query_params.get("autoload") == "false" and child is not None and child.state != "loaded":
            return _refusal(RouterError(400, "invalid_request_error", "model is not loaded"))
        return partial(self._answer, body)

    async def _answer(self, body: dict[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
        if not await while_client_stays(receive, partial(self._respond, body, scope, receive, send)):
            self.abandoned += 1

    async def _respond(self, body: dict[str, Any], scope: Scope, receive: Receive, send: Send) -> None:
        try:
            child = await self.router.acquire(str(body.get("model")))
        except RouterError as error:
            await _refusal(error)(scope, receive, send)
            return
        try:
            await self._generate(_Chat(self, child, body, next(self._numbers)), scope, receive, send)
        finally:
            self.router.release(child)

    async def _generate(self, chat: _Chat, scope: Scope, receive: Receive, send: Send) -> None:
        if chat.prompt_tokens > chat.child.model.context_length:
            await JSONResponse(chat.overflow(), 400)(scope, receive, send)
        elif chat.body.get("stream") is True:
            await Streamed(partial(chat.stream, self.faults.take_stream()), "text/event-stream")(scope, receive, send)
        else:
            await chat.whole(scope, receive, send)


class _Chat:
    """One answer."""

    def __init__(self, server: MockLlamaCpp, child: Child, body: dict[str, Any], number: int) -> None:
        self.child = child
        self.body = body
        self._head = {"created": 1_800_000_000, "id": f"chatcmpl-{number}", "model": child.model.key}
        prompt = "\n".join(str(message.get("content")) for message in body["messages"])
        self.prompt_tokens = token_count(prompt)
        self._tokens = made_up_tokens(body.get("max_tokens") or DEFAULT_TOKENS, server.profile.seed, prompt)
        self._reason = "length" if body.get("max_tokens") else "stop"

    def overflow(self) -> dict[str, Any]:
        tokens, most = self.prompt_tokens, self.child.model.context_length
        text = f"request ({tokens} tokens) exceeds the available context size ({most} tokens), try increasing it"
        more = {"type": "exceed_context_size_error", "n_prompt_tokens": tokens, "n_ctx": most}
        return {"error": {"code": 400, "message": text, **more}}

    async def whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        for _ in self._tokens:
            await self._take_time()
            if self.child.end is not None:
                text = "proxy error: Could not establish connection"
                error = RouterError(500, "server_error", text)
                await _refusal(error)(scope, receive, send)
                return
        message = {"role": "assistant", "content": "".join(self._tokens)}
        choice = {"finish_reason": self._reason, "index": 0, "message": message}
        body = {"choices": [choice], **self._head, "object": "chat.completion", "usage": self._usage()}
        await JSONResponse(body)(scope, receive, send)

    async def stream(self, fault: BrokenStream | None, write: Write) -> None:
        await write(self._chunk({"role": "assistant", "content": None}))
        for done, token in enumerate(self._tokens):
            if fault is not None and fault.after_chunks == done:
                await _break(fault, write)
                return
            await self._take_time()
            if self.child.end is not None:
                if self.child.end == "unloaded":
                    await write(b"proxy error: Failed to read connection")
                return
            await write(self._chunk({"content": token}))
        await write(self._chunk({}, self._reason))
        if (self.body.get("stream_options") or {}).get("include_usage"):
            last = {"choices": [], **self._head, "object": "chat.completion.chunk", "usage": self._usage()}
            await write(_frame(last))
        await write(b"data: [DONE]\n\n")

    async def _take_time(self) -> None:
        with trio.move_on_after(1 / self.child.model.decode_tokens_per_second):
            await self.child.ended.wait()

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"finish_reason": reason, "index": 0, "delta": delta}
        return _frame({"choices": [choice], **self._head, "object": "chat.completion.chunk"})

    def _usage(self) -> dict[str, int]:
        made = len(self._tokens)
        return {
            "completion_tokens": made,
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": made + self.prompt_tokens,
        }


def _row(name: str, child: Child) -> dict[str, Any]:
    status: dict[str, Any] = {"value": child.state, "args": ["llama-server", "--alias", name], "preset": f"[{name}]"}
    if child.exit_code:
        status["exit_code"] = child.exit_code
    if child.failed:
        status["failed"] = True
    meta = {"meta": {"n_ctx": child.model.context_length}} if child.state == "loaded" else {}
    return {"id": name, "aliases": [], "tags": [], "object": "model", "owned_by": "llamacpp", "status": status, **meta}


def _done(action: Any, name: str) -> JSONResponse:
    try:
        action(name)
    except RouterError as error:
        return _refusal(error)
    return JSONResponse({"success": True})


def _refusal(error: RouterError) -> JSONResponse:
    return JSONResponse({"error": {"code": error.status, "message": str(error), "type": error.kind}}, error.status)


def _frame(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


async def _break(fault: BrokenStream, write: Write) -> None:
    error = {"error": {"code": 500, "message": fault.message, "type": "server_error"}}
    if fault.how == "error":
        await write(_frame(error))
    elif fault.how == "named_error":
        await write(b"event: error\n" + _frame(error))
    elif fault.how == "drop":
        raise CutError
    elif fault.how == "stall":
        await trio.sleep_forever()
