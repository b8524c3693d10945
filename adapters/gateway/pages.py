"""What the gateway answers by itself: lists of models, health, metrics, the status page and its controls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import trio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route as Path

from statemachine import ProviderManagerError, RuntimeProviderConfig

from .catalogue import OfferedModel
from .entrance import UNLOADS
from .gateway import Gateway, RequestUnderWay
from .listing import describe_model
from .lists import lm_studio_v0, lm_studio_v1, ollama_ps, ollama_show, ollama_tags, openai_model, openai_models
from .problems import Problem, problem_of
from .reading import RefusedError, UnreadableBodyError, json_object, read_body
from .routes import dialect_of
from .status import resident, status
from .unloading import unload_idle

__all__ = ["Pages"]

OLLAMA_VERSION: Final = "0.12.0"
"""What ``/api/version`` says: the version whose paths are served."""
BODY_LIMIT_BYTES: Final = 1024 * 1024
"""The largest body of a request that is answered here."""
EVENT_SECONDS: Final = 0.5
"""The status page is told anew at most this often."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Pages:
    """The endpoints. Each is a coroutine method that takes Starlette's request."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def paths(self) -> list[Path]:
        """Return the paths."""
        return [
            Path("/", self._page),
            Path("/events", self._events),
            Path("/status", self._status),
            Path("/metrics", self._metrics),
            Path("/healthz", self._healthz),
            Path("/readyz", self._readyz),
            Path("/safe-to-stop", self._safe_to_stop),
            Path("/control/load", self._control(self._load), methods=["POST"]),
            Path("/control/unload", self._control(self._unload), methods=["POST"]),
            Path("/control/drain", self._control(self._drain), methods=["POST"]),
            Path("/v1/models", self._openai_models),
            Path("/v1/models/{name:path}", self._openai_model),
            Path("/api/tags", self._ollama_tags),
            Path("/api/ps", self._ollama_ps),
            Path("/api/version", self._ollama_version),
            Path("/api/v0/models", self._lm_studio_v0),
            Path("/api/v1/models", self._lm_studio_v1),
            Path("/api/v1/models/load", self._answering(self._lm_studio_load), methods=["POST"]),
            Path("/api/v1/models/unload", self._answering(self._lm_studio_unload), methods=["POST"]),
            Path("/api/show", self._answering(self._ollama_show), methods=["POST"]),
        ]

    # ---- models ----

    async def _openai_models(self, _: Request) -> Response:
        return JSONResponse(openai_models(await self._gateway.catalogue.offered()))

    async def _openai_model(self, request: Request) -> Response:
        name = request.path_params["name"]
        row = next((row for row in await self._gateway.catalogue.offered() if row.name == name), None)
        if row is None:
            return _refused(
                Problem(404, "model_not_found", "there is no model of this name", param="model"), "/v1/models"
            )
        return JSONResponse(openai_model(row))

    async def _ollama_tags(self, _: Request) -> Response:
        return JSONResponse(ollama_tags(await self._gateway.catalogue.offered()))

    async def _ollama_ps(self, _: Request) -> Response:
        return JSONResponse(ollama_ps(await self._gateway.catalogue.offered(), resident(self._gateway)))

    async def _ollama_version(self, _: Request) -> Response:
        return JSONResponse({"version": OLLAMA_VERSION})

    async def _lm_studio_v0(self, _: Request) -> Response:
        return JSONResponse(lm_studio_v0(await self._gateway.catalogue.offered(), resident(self._gateway)))

    async def _lm_studio_v1(self, _: Request) -> Response:
        return JSONResponse(lm_studio_v1(await self._gateway.catalogue.offered(), resident(self._gateway)))

    async def _lm_studio_load(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Load the model by a lease that is given back at once: the model stays until another one is needed."""
        if further := sorted(body.keys() - {"model", "echo_load_config"}):
            text = f"the gateway's configuration says how models are loaded: leave out {', '.join(further)}"
            raise RefusedError(Problem(400, "load_options_refused", text, param=further[0]))
        provider, model = await self._gateway.catalogue.find(str(body.get("model")))
        config = RuntimeProviderConfig(provider, model)
        async with self._gateway.manager.acquire(config, agent="control") as lease:
            seconds = round(lease.loading_seconds, 3)
        return {"type": "llm", "instance_id": body["model"], "load_time_seconds": seconds, "status": "loaded"}

    async def _lm_studio_unload(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        raise RefusedError(UNLOADS)

    async def _ollama_show(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        provider, model = await self._gateway.catalogue.find(str(body.get("model") or body.get("name")))
        settings = self._gateway.settings.provider(provider)
        if settings.kind == "ollama":
            return await describe_model(settings, model)
        offered = await self._gateway.catalogue.offered()
        known = (row for row in offered if (row.provider, row.model) == (provider, model))
        return ollama_show(next(known, OfferedModel(model, provider, model)))

    # ---- what happens ----

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(_page_text())

    async def _status(self, _: Request) -> Response:
        return JSONResponse(status(self._gateway))

    async def _metrics(self, _: Request) -> Response:
        return Response(self._gateway.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _events(self, _: Request) -> Response:
        headers = {"Cache-Control": "no-cache"}
        names = [row.name for row in await self._gateway.catalogue.offered()] if self._may_control else []
        pictures = _Pictures(self._gateway, {"control": self._may_control, "offered": names})
        return StreamingResponse(pictures, media_type="text/event-stream", headers=headers)

    # ---- health ----

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "name": "llm-slots"})

    async def _readyz(self, _: Request) -> Response:
        draining = self._gateway.draining.is_set()
        return JSONResponse({"status": "draining" if draining else "ready"}, 503 if draining else 200)

    async def _safe_to_stop(self, _: Request) -> Response:
        busy = self._gateway.requests.count
        return JSONResponse({"safe": busy == 0, "under_way": busy}, 200 if busy == 0 else 409)

    # ---- control ----

    @property
    def _may_control(self) -> bool:
        """Without a token, any page in the user's browser could control the gateway."""
        return self._gateway.settings.token is not None

    def _control(self, action: Callable[[Mapping[str, Any]], Awaitable[str]]) -> Endpoint:
        async def controlled(body: Mapping[str, Any]) -> Mapping[str, Any]:
            if not self._may_control:
                raise RefusedError(Problem(403, "no_token", "controls need a token: configure gateway.token_env"))
            return {"done": await action(body)}

        return self._answering(controlled)

    def _answering(self, action: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]) -> Endpoint:
        """Return an endpoint that gives the request's JSON object to ``action``. Problems are told in the dialect of the path."""

        async def endpoint(request: Request) -> Response:
            seconds = self._gateway.settings.sender_seconds
            try:
                with RequestUnderWay(self._gateway) as admission:
                    admission.check()
                    body = await read_body(
                        request.receive, admission.hold, most_bytes=BODY_LIMIT_BYTES, seconds=seconds
                    )
                    return JSONResponse(await action(json_object(body).values))
            except UnreadableBodyError:
                return Response()
            except RefusedError as error:
                return _refused(error.problem, request.url.path)
            except ProviderManagerError as error:
                return _refused(problem_of(error), request.url.path)

        return endpoint

    async def _load(self, body: Mapping[str, Any]) -> str:
        provider, model = await self._gateway.catalogue.find(str(body.get("model")))
        async with self._gateway.manager.acquire(RuntimeProviderConfig(provider, model), agent="control"):
            return f"{model} is loaded"

    async def _unload(self, body: Mapping[str, Any]) -> str:
        """Unload the model that is named, or all that are idle."""
        if "model" not in body:
            return f"unloaded: {', '.join(await unload_idle(self._gateway)) or 'nothing was idle'}"
        named = await self._gateway.catalogue.find(str(body["model"]))
        if not await unload_idle(self._gateway, lambda part: (part.provider, part.model) == named):
            text = f"{named[1]} is not loaded and idle: what is in use is not unloaded"
            raise RefusedError(Problem(409, "model_not_idle", text, param="model"))
        return f"unloaded: {named[1]}"

    async def _drain(self, _: Mapping[str, Any]) -> str:
        self._gateway.draining.set()
        return "draining: no new requests"


class _Pictures:
    """The status, and ``more``, as an event each :data:`EVENT_SECONDS`, until the client has gone or the gateway is done.

    No generator: one that is left early would be closed by the garbage collector.
    """

    def __init__(self, gateway: Gateway, more: Mapping[str, Any]) -> None:
        self._gateway = gateway
        self._more = more
        self._pause = 0.0

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        await trio.sleep(self._pause)
        self._pause = EVENT_SECONDS
        if self._gateway.is_done:
            raise StopAsyncIteration
        return f"data: {json.dumps({**status(self._gateway), **self._more})}\n\n"


def _refused(problem: Problem, path: str) -> Response:
    return JSONResponse(dialect_of(path).body(problem), problem.status, headers=dict(problem.headers))


@cache
def _page_text() -> str:
    return files(__package__).joinpath("page.html").read_text(encoding="utf-8")
