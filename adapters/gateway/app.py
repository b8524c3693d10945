"""The gateway as an ASGI application: its paths, and what guards all of them."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Path

from .answer import ClientAnswer, Receive, Send
from .asking import credential, split_prefix
from .entrance import enter
from .gateway import Gateway
from .pages import Pages
from .problems import Problem
from .routes import FORWARDED, dialect_of

__all__ = ["application"]

_OPEN_PATHS: Final = frozenset({"/", "/healthz", "/readyz"})
"""They need no token, and tell nothing: the status page asks for its data with the token."""


def application(gateway: Gateway) -> Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]:
    """Return the ASGI application."""
    forwarded = [Path(path, _Forwarded(gateway, path), methods=["POST"]) for path in FORWARDED]
    app = Starlette(routes=[*forwarded, *Pages(gateway).paths()], exception_handlers={HTTPException: _in_dialect})
    return _Guard(gateway, app)


class _Forwarded:
    """The endpoint of one forwarded path."""

    def __init__(self, gateway: Gateway, path: str) -> None:
        self._serve = partial(enter, gateway, FORWARDED[path])

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


class _Guard:
    """Takes the prefix off the path, and asks for the token where there is one. Other than HTTP, only the lifespan is served."""

    def __init__(self, gateway: Gateway, app: Starlette) -> None:
        self._gateway = gateway
        self._app = app

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Any) -> None:
        if scope["type"] == "http":
            path = split_prefix(scope["path"]).path
            if not self._may_pass(path, scope):
                problem = Problem(
                    401, "invalid_api_key", "a token is needed: send it as a bearer token", "authentication_error"
                )
                await ClientAnswer(send, dialect_of(path)).problem(problem)
                return
            scope = {**scope, "path": path, "raw_path": path.encode(), "prefixed_path": scope["path"]}
        await self._app(scope, receive, send)  # type: ignore[arg-type]  # Starlette wants a MutableMapping, and has one

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
    text = f"{request.method} {path} is not served here" if error.status_code in (404, 405) else error.detail
    problem = Problem(error.status_code, "not_found" if error.status_code == 404 else "method_not_allowed", text)
    return JSONResponse(dialect_of(path).body(problem), error.status_code)
