"""A mock of LM Studio's HTTP server, as an ASGI application on trio: its routes, and what comes before them.

``docs/mock.md`` lists the endpoints, the settings and the faults, and says what is documented and what is a guess.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hmac import compare_digest
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from simulation.timing.latency import LatencyProfile, ModelSpec

from ..http import ClientGoneError, json_response
from . import errors
from .ask import Ask
from .bodies import read_fields
from .conversations import StoredConversations
from .embeddings import EmbeddingEndpoints
from .engine import LMStudioEngine
from .fields import Fields
from .generation import Generations
from .messages import MESSAGE, parse_message
from .models import ModelEndpoints
from .native_chat import NATIVE, parse_native
from .openai_chat import CHAT, CHAT_V0, parse_chat
from .openai_text import COMPLETION, COMPLETION_V0, parse_completion
from .responses import RESPONSE, parse_response
from .settings import Settings
from .writer import Dialect

__all__ = ["MockLMStudio"]

Handler = Callable[[Request], Awaitable[Response]]
Parse = Callable[[Fields, Mapping[str, str], StoredConversations], Ask]


class MockLMStudio(LMStudioEngine):
    """The server: ``await server(scope, receive, send)``. ``settings`` are those of :class:`Settings`, by name.

    ``models`` are the downloaded ones. Tests and replays look at it through ``loaded``, ``resident`` and ``counters``, and order mishaps
    from ``faults``. Raises ConfigurationError.
    """

    def __init__(self, models: Sequence[ModelSpec], profile: LatencyProfile | None = None, **settings: Any) -> None:
        super().__init__(models, profile, Settings(**settings))
        self._stored = StoredConversations()
        self._generations = Generations(self, self._stored)
        self._app: Final = self._make_app()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        await self._app(scope, receive, send)

    def _make_app(self) -> Starlette:
        cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
        app = Starlette(
            routes=[*ModelEndpoints(self).routes(), *EmbeddingEndpoints(self).routes(), *self._answer_routes()],
            middleware=[*([cors] if self.settings.cors else []), Middleware(_Gate, server=self)],
            exception_handlers={
                errors.Refusal: self._refuse,
                HTTPException: self._refuse_path,
                ClientGoneError: _give_up,
            },
        )
        app.router.redirect_slashes = False
        return app

    def _answer_routes(self) -> list[Route]:
        version = self.settings.profile
        endpoints: list[tuple[str, bool, Parse, Dialect]] = [
            ("/v1/chat/completions", True, parse_chat, CHAT),
            ("/v1/completions", True, parse_completion, COMPLETION),
            ("/api/v0/chat/completions", version.v0, parse_chat, CHAT_V0),
            ("/api/v0/completions", version.v0, parse_completion, COMPLETION_V0),
            ("/v1/responses", version.responses, parse_response, RESPONSE),
            ("/v1/messages", version.messages, parse_message, MESSAGE),
            ("/api/v1/chat", version.v1, parse_native, NATIVE),
        ]
        known = [endpoint for endpoint in endpoints if endpoint[1]]
        return [Route(path, self._answering(parse, dialect), methods=["POST"]) for path, _, parse, dialect in known]

    def _answering(self, parse: Parse, dialect: Dialect) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                ask = parse(await read_fields(request, strict=self.settings.strict_keys), request.headers, self._stored)
            except errors.Refusal as refusal:
                raise dialect.refusal(refusal) from None
            return self._generations.answer(ask, dialect)

        return answer

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.Refusal), "as it is registered"
        native = request.url.path.startswith("/api/v1/") and error.member("code") != "invalid_json"
        return json_response(error.status, error.body, indent=self.settings.indent if native else None)

    async def _refuse_path(self, request: Request, error: Exception) -> Response:
        refusal = errors.unexpected_endpoint(self.settings.unexpected_status, request.method, request.url.path)
        return json_response(refusal.status, refusal.body)


class _Gate:
    """What comes before every endpoint: the API token, and answers that a test has prepared."""

    def __init__(self, app: ASGIApp, server: MockLMStudio) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            app = self._stopped(scope["path"], Headers(scope=scope)) or app
        await app(scope, receive, send)

    def _stopped(self, path: str, headers: Headers) -> Response | None:
        if not self._admits(path, headers):
            refusal = errors.invalid_token("authorization" in headers)
            return json_response(refusal.status, refusal.body, indent=self._server.settings.indent)
        prepared = self._server.faults.take_answer(path)
        return None if prepared is None else json_response(prepared.status, prepared.body)

    def _admits(self, path: str, headers: Headers) -> bool:
        token = self._server.settings.api_token
        if token is None:
            return True
        given = [headers.get("authorization", "")]
        if path == "/v1/messages" and "x-api-key" in headers:
            given.append(f"Bearer {headers['x-api-key']}")
        return any(compare_digest(text.encode(), f"Bearer {token}".encode()) for text in given)


async def _give_up(request: Request, error: Exception) -> Response:
    """Give up: the client has gone, so what is answered goes nowhere."""
    return Response(status_code=499)
