"""A loopback Ollama as an ASGI application on trio, written from its documented wire.

====================  ==================================================================================
GET  /api/version
GET  /api/tags        what is downloaded
GET  /api/ps          what is loaded
POST /api/show        one downloaded model
POST /api/chat        lines of JSON, streamed unless ``stream`` is false; without messages it only loads
POST /api/generate    the same with a prompt; without one it only loads
POST /api/embed       vectors made up from the texts
====================  ==================================================================================

``keep_alive: 0`` without messages unloads: at once if the model is idle, else when its answers are over; the request does not wait.
An answer has ``num_predict`` tokens (64 where the request does not say), made up from the seed, the model and the prompt; with ``think``
some of thinking come first; with tools it is a call of the first one, unless the last message is a tool's result. Not mocked: pulling,
images, logprobs, formats, memory. The scheduler is in ``runners``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from statemachine.checks import is_number

from ...timing.latency import LatencyProfile, ModelSpec, token_count
from ..faults import BrokenStream, Faults
from ..streamed import CutError, Streamed, Write, made_up_arguments, read_object, while_client_stays
from ..words import made_up_tokens
from . import wire
from .runners import LoadFailedError, Runner, RunnerQueueFullError, Runners

__all__ = ["MockOllama"]

DEFAULT_TOKENS: Final = 64
DEFAULT_KEEP_ALIVE: Final = 300.0
EMBEDDING_WIDTH: Final = 8
BUSY: Final = "server busy, please try again.  maximum pending requests exceeded"
STOPPED: Final = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"
_TOOL: Final = {"function": {"name": str}}
_SHAPE: Final = {
    "model": str,
    "prompt": str,
    "messages": [{"role": str, "content": str}],
    "options": {"num_predict": int},
    "tools": [_TOOL],
}
_DURATION: Final = re.compile(r"(-?\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


class MockOllama:
    """The application. ``runners`` is what it holds; ``faults`` takes orders for mishaps; ``requests`` are the paths that were asked for.

    ``answered`` and ``abandoned`` count the answers that were made to their ends, and those that their clients left.
    """

    def __init__(
        self,
        models: Sequence[ModelSpec],
        profile: LatencyProfile | None = None,
        *,
        max_loaded: int = 1,
        max_queue: int = 512,
    ) -> None:
        self.models: Final = {model.key: model for model in models}
        self.faults: Final = Faults()
        self.profile: Final = profile or LatencyProfile()
        self.runners: Final = Runners(self.profile, self.faults, max_loaded=max_loaded, max_queue=max_queue)
        self.requests: list[str] = []
        self.answered = 0
        self.abandoned = 0
        self._app = Starlette(
            routes=[
                Route("/api/version", self._version, methods=["GET"]),
                Route("/api/tags", self._tags, methods=["GET"]),
                Route("/api/ps", self._processes, methods=["GET"]),
                Route("/api/show", self._show, methods=["POST"]),
                Route("/api/chat", self._chat, methods=["POST"]),
                Route("/api/generate", self._generate, methods=["POST"]),
                Route("/api/embed", self._embed, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] == "http":
            self.requests.append(scope["path"])
            if (answer := self.faults.take_answer(scope["path"])) is not None:
                await JSONResponse(answer.body, answer.status)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    # ---- models ----

    async def _version(self, request: Request) -> JSONResponse:
        return JSONResponse({"version": "0.13.0"})

    async def _tags(self, request: Request) -> JSONResponse:
        return JSONResponse({"models": [wire.tag(model) for model in self.models.values()]})

    async def _processes(self, request: Request) -> JSONResponse:
        rows = [wire.process(runner, trio.current_time()) for runner in self.runners.loaded.values()]
        return JSONResponse({"models": rows})  # also what is being loaded: the list does not tell the difference

    async def _show(self, request: Request) -> JSONResponse:
        model = self._model(await read_object(request, _SHAPE))
        if isinstance(model, JSONResponse):
            return model
        info = {"general.architecture": "llama", "llama.context_length": model.max_context_length}
        row = wire.tag(model)
        capabilities = ["completion", "tools", "thinking"]
        return JSONResponse(
            {"details": row["details"], "model_info": info, "capabilities": capabilities, "modified_at": wire.now()}
        )

    async def _embed(self, request: Request) -> JSONResponse:
        body = await read_object(request, _SHAPE)
        model = self._model(body)
        if isinstance(model, JSONResponse) or body is None:
            return model if isinstance(model, JSONResponse) else _invalid()
        given = body.get("input", [])
        texts = given if isinstance(given, list) else [given]
        vectors = [[Random(repr((model.key, text, i))).random() for i in range(EMBEDDING_WIDTH)] for text in texts]
        return JSONResponse({"model": model.key, "embeddings": vectors, "prompt_eval_count": len(texts)})

    def _model(self, body: Mapping[str, Any] | None) -> ModelSpec | JSONResponse:
        """Return the model that the request names, or the refusal. A name without a tag is that of ``latest``."""
        if body is None:
            return _invalid()
        name = body.get("model")
        if not isinstance(name, str) or not name:
            return JSONResponse(wire.error("model is required"), 400)
        model = self.models.get(name) or self.models.get(f"{name}:latest")
        return model or JSONResponse(wire.not_found(name), 404)

    # ---- answers ----

    async def _chat(self, request: Request) -> ASGIApp:
        return await self._answer(await read_object(request, _SHAPE), chat=True)

    async def _generate(self, request: Request) -> ASGIApp:
        return await self._answer(await read_object(request, _SHAPE), chat=False)

    async def _answer(self, body: Mapping[str, Any] | None, *, chat: bool) -> ASGIApp:
        model = self._model(body)
        if isinstance(model, JSONResponse) or body is None:
            return model if isinstance(model, JSONResponse) else _invalid()
        keep_alive = _keep_alive(body.get("keep_alive"))
        if keep_alive is None:
            return JSONResponse(wire.error("invalid duration"), 400)
        if not body.get("messages" if chat else "prompt") and keep_alive == 0:
            self.runners.expire(model.key)
            return JSONResponse(wire.nothing_done(model.key, "unload", chat=chat))
        return _Answer(self, model, body, keep_alive, chat=chat)


class _Answer:
    """One request that needs a runner, as an application: the runner is held until the last byte is sent."""

    def __init__(
        self, server: MockOllama, model: ModelSpec, body: Mapping[str, Any], keep_alive: float, *, chat: bool
    ) -> None:
        self._server = server
        self._model = model
        self._body = body
        self._keep_alive = keep_alive
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await while_client_stays(receive, partial(self._run, scope, receive, send)):
            self._server.abandoned += 1

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        try:
            options = self._body.get("options") or {}
            async with self._server.runners.use(self._model, options, self._keep_alive) as runner:
                await self._respond(runner)(scope, receive, send)
        except RunnerQueueFullError:
            refusal = JSONResponse(wire.error(BUSY), 503)
        except LoadFailedError as error:
            refusal = JSONResponse(wire.error(str(error)), 500)
        if refusal is not None:
            await refusal(scope, receive, send)

    def _respond(self, runner: Runner) -> ASGIApp:
        if not self._body.get("messages" if self._chat else "prompt"):
            return JSONResponse(wire.nothing_done(self._model.key, "load", chat=self._chat))
        if self._body.get("stream") is False:
            return partial(self._whole, runner)
        return Streamed(partial(self._stream, runner, self._server.faults.take_stream()), "application/x-ndjson")

    async def _whole(self, runner: Runner, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[dict[str, Any]] = []
        for part in self._pieces():
            await self._take_time(len(parts))
            if runner.stopped.is_set():
                await JSONResponse(wire.error(STOPPED), 500)(scope, receive, send)
                return
            parts.append(part)
        self._server.answered += 1
        await JSONResponse({**_joined(parts, chat=self._chat), **self._last(runner, len(parts))})(scope, receive, send)

    async def _stream(self, runner: Runner, fault: BrokenStream | None, write: Write) -> None:
        sent = 0
        for part in self._pieces():
            await self._take_time(sent)
            if runner.stopped.is_set():
                await write(wire.line(wire.error(STOPPED)))
                return
            if fault is not None and sent == fault.after_chunks:
                break
            said = {"message": {"role": "assistant", "content": "", **part}} if self._chat else _generated(part)
            head = {"model": self._model.key, "created_at": wire.now()}
            await write(wire.line({**head, **said, "done": False}))
            sent += 1
        if fault is not None:
            await _break(fault, write)
            return
        await write(wire.line({**_joined([], chat=self._chat), **self._last(runner, sent)}))
        self._server.answered += 1

    async def _take_time(self, done: int) -> None:
        """Sleep for the next piece, and before the first one for the prompt."""
        prefill = 0 if done else self._prompt_tokens / self._model.prefill_tokens_per_second
        await trio.sleep(prefill + 1 / self._model.decode_tokens_per_second)

    def _pieces(self) -> list[dict[str, Any]]:
        origin = (self._server.profile.seed, self._model.key, self._prompt)
        thinking = [{"thinking": word} for word in made_up_tokens(4, "thinking", *origin)]
        thinking = thinking if self._body.get("think") else []
        tools, messages = self._body.get("tools"), self._body.get("messages") or [{}]
        if tools and messages[-1].get("role") != "tool":
            function = tools[0].get("function") or {}
            call = {"name": function.get("name"), "arguments": made_up_arguments(function.get("parameters"))}
            return [*thinking, {"tool_calls": [{"function": call}]}]
        return [*thinking, *({"content": word} for word in made_up_tokens(self._most or DEFAULT_TOKENS, *origin))]

    def _last(self, runner: Runner, tokens: int) -> dict[str, Any]:
        return {
            "model": self._model.key,
            "created_at": wire.now(),
            "done": True,
            "done_reason": "length" if self._most else "stop",
            **wire.timings(runner, self._prompt_tokens, tokens),
        }

    @property
    def _most(self) -> int | None:
        most = (self._body.get("options") or {}).get("num_predict")
        return most if isinstance(most, int) and most > 0 else None

    @property
    def _prompt(self) -> str:
        texts = [message.get("content") or "" for message in self._body.get("messages") or ()]
        return "\n".join([*texts, self._body.get("prompt") or ""])

    @property
    def _prompt_tokens(self) -> int:
        return token_count(self._prompt)


async def _break(fault: BrokenStream, write: Write) -> None:
    if fault.how in ("error", "named_error"):
        await write(wire.line(wire.error(fault.message)))
    elif fault.how == "drop":
        raise CutError
    elif fault.how == "stall":
        await trio.sleep_forever()


def _joined(parts: Sequence[Mapping[str, Any]], *, chat: bool) -> dict[str, Any]:
    """Join the pieces into one message."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(part.get("content", "") for part in parts)}
    if thinking := "".join(part.get("thinking", "") for part in parts):
        message["thinking"] = thinking
    if calls := [call for part in parts for call in part.get("tool_calls", ())]:
        message["tool_calls"] = calls
    return {"message": message} if chat else _generated(message)


def _generated(part: Mapping[str, Any]) -> dict[str, Any]:
    thinking = {"thinking": part["thinking"]} if part.get("thinking") else {}
    return {"response": part.get("content", ""), **thinking}


def _invalid() -> JSONResponse:
    return JSONResponse(wire.error("invalid JSON in the request's body"), 400)


def _keep_alive(value: object) -> float | None:
    """Parse seconds from a number or a text such as ``10m``; negative: infinity; None: not a duration."""
    if value is None:
        return DEFAULT_KEEP_ALIVE
    if isinstance(value, str):
        parts = _DURATION.findall(value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            return None
        value = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not is_number(value):
        return None
    return math.inf if value < 0 else float(value)
