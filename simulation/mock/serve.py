"""The mock LM Studio server on a real socket."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import trio
from starlette.types import ASGIApp

from statemachine.errors import ConfigurationError

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

__all__ = ["LM_STUDIO_PORT", "serve"]

LM_STUDIO_PORT: Final = 1234


@asynccontextmanager
async def serve(
    app: ASGIApp, host: str = "127.0.0.1", port: int = LM_STUDIO_PORT, *, log_requests: bool = False
) -> AsyncIterator[str]:
    """Serve ``app`` over HTTP in this context manager's block, which gets the base URL. Port 0 takes a free one.

    ``log_requests``: print a line for each request that is answered: method, path, status.

    Raises OSError where the address cannot be had, and ConfigurationError where it is none.
    """
    import hypercorn.trio  # here, because it is an optional extra that only a server on a socket needs

    listener = _listen(host, port)
    config = hypercorn.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    config.accesslog = _request_log() if log_requests else None
    config.access_log_format = "%(m)s %(U)s %(s)s"
    framework = cast("ASGIFramework", app)  # the same thing, with looser types of messages
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(partial(hypercorn.trio.serve, framework, config, mode="asgi"))
        yield url
        nursery.cancel_scope.cancel()


def _request_log() -> logging.Logger:
    """Prints, at a level of its own: the server's other messages stay as quiet as they are."""
    log = logging.Logger("requests", logging.INFO)
    log.addHandler(logging.StreamHandler(sys.stdout))
    log.addFilter(lambda record: not record.getMessage().endswith(" -"))  # also comes when a connection ends
    return log


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ConfigurationError("port", "must be from 0 to 65535", repr(port))
    try:
        socket.getaddrinfo(host, None)
    except ValueError as error:  # such as a NUL in the name, or a part of it that is too long
        raise ConfigurationError("host", "must be the name or the address of this machine", repr(host)) from error
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
