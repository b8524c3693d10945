"""A mock of LM Studio's HTTP server, since 0.4, as an ASGI application on trio.

===================================  =====================================================================
GET  /api/v1/models                  downloaded models and their loaded instances
POST /api/v1/models/load             answers when the load is over; a client that leaves does not stop it
POST /api/v1/models/unload           by instance id; cuts the answers that the instance is making
GET  /v1/models                      what a chat may name
POST /v1/chat/completions            streamed or not; loads the model just in time
===================================  =====================================================================

Anything else is answered with status 200 and an error, as the real server does. Not mocked: embeddings, tools,
reasoning, ``ttl`` (accepted, ignored), the limits of memory and context, versions before 0.4.

An answer has exactly ``max_tokens`` tokens (64 where the request does not say), made up from the seed, the model and
the prompt. The prompt's tokens are a quarter of its characters, or what the request header ``X-Mock-Prompt-Tokens`` says.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hmac import compare_digest
from itertools import count
from random import Random
from string import ascii_lowercase, digits
from typing import Any, Final

import trio

from ...timing.latency import LatencyProfile, ModelSpec
from ..asgi import ClientGoneError, Exchange, Receive, Send, answer_lifespan
from ..engine.engine import LMStudioState, LoadFailedError
from ..engine.instance import Instance, Job, ModelUnloadedError, made_up_tokens
from . import wire
from .chat import ChatRequest, Identity, StreamedAnswer, WholeAnswer

__all__ = ["MockLMStudio"]

Handler = Callable[[Exchange], Awaitable[None]]


class MockLMStudio(LMStudioState):
    """The server's state with its HTTP face: ``await server(scope, receive, send)``.

    ``models`` are the downloaded ones; ``jit``: whether a chat loads its model. With ``api_token`` every request must carry it.
    Tests and replays look at it through ``loaded``, ``resident`` and ``counters``, and order mishaps from ``faults``.
    Raises ConfigurationError.
    """

    def __init__(
        self,
        models: Sequence[ModelSpec],
        profile: LatencyProfile | None = None,
        *,
        jit: bool = True,
        api_token: str | None = None,
    ) -> None:
        super().__init__(models, profile, jit=jit)
        self._api_token = api_token
        self._chats = count(1)
        self._routes: Final[dict[tuple[str, str], Handler]] = {
            ("GET", "/api/v1/models"): self._list,
            ("POST", "/api/v1/models/load"): self._load,
            ("POST", "/api/v1/models/unload"): self._unload,
            ("GET", "/v1/models"): self._list_openai,
            ("POST", "/v1/chat/completions"): self._chat,
        }

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._dispatch(exchange)
        except wire.Refusal as refusal:
            await _refuse(exchange, refusal)
        except ClientGoneError:
            pass  # there is nobody to answer

    async def _dispatch(self, exchange: Exchange) -> None:
        self._check_token(exchange)
        if (answer := self.faults.take_answer(exchange.path)) is not None:
            await exchange.send_json(answer.status, answer.body)
            return
        handler = self._routes.get((exchange.method, exchange.path))
        if handler is None:
            raise wire.unexpected_endpoint(exchange.method, exchange.path)
        await handler(exchange)

    def _check_token(self, exchange: Exchange) -> None:
        if self._api_token is None:
            return
        given = exchange.headers.get("authorization", "")
        if not compare_digest(given.encode(), f"Bearer {self._api_token}".encode()):
            raise wire.invalid_token()

    # ---- models ----

    async def _list(self, exchange: Exchange) -> None:
        body = wire.model_list(self.models.values(), tuple(self.resident.values()))
        await exchange.send_json(200, body, indent=2)

    async def _list_openai(self, exchange: Exchange) -> None:
        ids = self.models if self.jit else [instance.id for instance in self.loaded]
        await exchange.send_json(200, wire.openai_model_list(ids))

    async def _load(self, exchange: Exchange) -> None:
        body = await _read_object(exchange)
        if unknown := [key for key in body if key not in wire.LOAD_KEYS]:
            raise wire.unrecognized_keys(unknown)
        name = _required_string(body, "model")
        for key in ("context_length", "eval_batch_size", "num_experts", "parallel"):
            if key in body and (type(body[key]) is not int or body[key] < 1):
                raise wire.invalid_type(key, "an integer of at least 1")
        model = self.models.get(name)
        if model is None:
            raise wire.not_downloaded(name)
        config = {key: value for key, value in body.items() if key not in ("model", "echo_load_config")}
        try:
            instance = await self.load(model, config)
        except LoadFailedError as error:
            raise wire.load_failed(str(error)) from error
        await exchange.send_json(200, wire.loaded(instance, echo_config=body.get("echo_load_config") is True), indent=2)

    async def _unload(self, exchange: Exchange) -> None:
        instance_id = _required_string(await _read_object(exchange), "instance_id")
        instance = self.resident.get(instance_id)
        if instance is None or instance.state != "loaded":
            raise wire.instance_not_loaded(instance_id)
        await self.unload(instance)
        await exchange.send_json(200, {"instance_id": instance_id}, indent=2)

    # ---- chat ----

    async def _chat(self, exchange: Exchange) -> None:
        request = ChatRequest.parse(await _read_object(exchange), exchange.headers)
        instance = await self._instance_for(request.model)
        job = self._job(instance.model.key, request)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_leave_with_client, exchange, job)
            refusal = await self._answer(exchange, request, instance, job)
            nursery.cancel_scope.cancel()
        if refusal is not None:
            raise refusal

    async def _instance_for(self, name: str) -> Instance:
        if (instance := self.find(name)) is not None:
            return instance
        model = self.models.get(name)
        if model is None:
            raise wire.invalid_model(name, self.models)
        if not self.jit:
            raise wire.no_models_loaded()
        try:
            return await self.load_just_in_time(model)
        except LoadFailedError as error:
            raise wire.jit_load_failed(name, str(error)) from error

    def _job(self, model: str, request: ChatRequest) -> Job:
        origin = (self.profile.seed, model, request.prompt)
        tokens = made_up_tokens(request.output_tokens, *origin)
        return Job(request.prompt_tokens, tokens, self.profile.pace("answer", model, request.prompt))

    async def _answer(
        self, exchange: Exchange, request: ChatRequest, instance: Instance, job: Job
    ) -> wire.Refusal | None:
        """Make and send the answer. What cuts it is returned, because a nursery would wrap it."""
        identity = Identity(self._completion_id(), int(trio.current_time()), instance.id)
        answer: StreamedAnswer | WholeAnswer
        if request.stream:
            answer = StreamedAnswer(exchange, identity, job, request.include_usage, self.faults.take_stream())
        else:
            answer = WholeAnswer(exchange, identity, job)
        try:
            if await self.generate(instance, job, answer.add):
                self.counters.answered += 1
                await answer.finish(request.finish_reason)
        except ModelUnloadedError:
            self.counters.cut += 1
            return wire.model_unloaded()
        except ClientGoneError:
            self.counters.abandoned += 1
        return None

    def _completion_id(self) -> str:
        letters = Random(repr((self.profile.seed, next(self._chats)))).choices(ascii_lowercase + digits, k=21)
        return "chatcmpl-" + "".join(letters)


async def _leave_with_client(exchange: Exchange, job: Job) -> None:
    await exchange.wait_disconnected()
    job.leave()


async def _refuse(exchange: Exchange, refusal: wire.Refusal) -> None:
    """As an answer of its own, or inside the stream that has begun."""
    if exchange.streaming:
        await exchange.send_event(refusal.body)
        await exchange.end_stream()
    else:
        await exchange.send_json(refusal.status, refusal.body)


async def _read_object(exchange: Exchange) -> dict[str, Any]:
    """The request body, which must be a JSON object. Raises Refusal."""
    try:
        body = json.loads(await exchange.read())
    except ValueError:
        raise wire.invalid_json() from None
    if not isinstance(body, dict):
        raise wire.invalid_json()
    return body


def _required_string(body: Mapping[str, Any], name: str) -> str:
    if name not in body:
        raise wire.missing(name)
    value = body[name]
    if not isinstance(value, str):
        raise wire.invalid_type(name, "a string")
    return value
