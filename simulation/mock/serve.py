"""The mock LM Studio server on a real socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import trio
from starlette.types import ASGIApp

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

__all__ = ["LM_STUDIO_PORT", "serve"]

LM_STUDIO_PORT: Final = 1234


@asynccontextmanager
async def serve(app: ASGIApp, host: str = "127.0.0.1", port: int = LM_STUDIO_PORT) -> AsyncIterator[str]:
    """Serve ``app`` over HTTP in this context manager's block, which gets the base URL. Port 0 takes a free one.

    Raises OSError where the address cannot be had.
    """
    import hypercorn.trio  # here, because it is an optional extra that only a server on a socket needs

    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    config = hypercorn.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    framework = cast("ASGIFramework", app)  # the same thing, with looser types of messages
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(partial(hypercorn.trio.serve, framework, config, mode="asgi"))
        yield url
        nursery.cancel_scope.cancel()
