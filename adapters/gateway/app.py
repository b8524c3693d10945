"""The gateway as an ASGI application: its paths, and what guards all of them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .answer import ClientAnswer, Receive, Send
from .asking import credential, split_prefix
from .entrance import enter
from .gateway import Gateway
from .http1 import Application
from .pages import Pages
from .problems import Problem
from .routes import FORWARDED, dialect_of

__all__ = ["application"]

_OPEN_PATHS: Final = frozenset({"/", "/healthz", "/readyz"})
"""They need no token, and tell nothing: the status page asks for its data with the token."""


def application(gateway: Gateway) -> Application:
    """Return the ASGI application."""
    return _Application(gateway)


class _Application:
    """Takes the prefix off the path, asks for the token where there is one, and finds who answers."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._pages = Starlette(routes=Pages(gateway).paths(), exception_handlers={HTTPException: _in_dialect})

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        prefix = split_prefix(scope["raw_path"].decode("ascii"))
        route = FORWARDED.get(prefix.path) if scope["method"] == "POST" else None
        if "crowded" in scope["extensions"] and prefix.path not in _OPEN_PATHS:
            text = f"{self._gateway.settings.connections_limit} connections are open, the most that are taken at a time"
            problem = Problem(503, "too_many_connections", text, "server_error", retry_after=1)
            await ClientAnswer(send, dialect_of(prefix.path)).problem(problem)
        elif not self._may_pass(prefix.path, scope):
            problem = Problem(
                401, "invalid_api_key", "a token is needed: send it as a bearer token", "authentication_error"
            )
            await ClientAnswer(send, dialect_of(prefix.path)).problem(problem)
        elif route is not None:
            await enter(self._gateway, route, prefix, scope, receive, send)
        else:
            scope = {**scope, "path": prefix.path, "raw_path": prefix.path.encode()}
            with self._gateway.pages:
                await self._pages(scope, receive, send)  # type: ignore[arg-type]  # wants a MutableMapping, and has one

    def _may_pass(self, path: str, scope: Mapping[str, Any]) -> bool:
        token = self._gateway.settings.token
        if token is None or path in _OPEN_PATHS:
            return True
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        return hmac.compare_digest((credential(headers) or "").encode(), token.encode())


async def _in_dialect(request: Request, error: Exception) -> Response:
    """Tell in the dialect of the path that there is no such path, or no such method."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    status = 405 if path in FORWARDED else error.status_code
    text = f"{request.method} {path} is not served here" if status in (404, 405) else error.detail
    problem = Problem(status, "not_found" if status == 404 else "method_not_allowed", text)
    allowed = {"Allow": "POST"} if path in FORWARDED else error.headers
    return JSONResponse(dialect_of(path).body(problem), status, allowed)
