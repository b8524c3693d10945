"""The mock LM Studio server on a real socket."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

import hypercorn
import hypercorn.trio
import trio

from statemachine.errors import ConfigurationError

from ..timing.latency import DEFAULT_MODELS, LatencyProfile, ModelSpec
from .asgi import Application
from .lmstudio import MockLMStudio

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

__all__ = ["add_arguments", "run", "serve"]

LM_STUDIO_PORT = 1234


@asynccontextmanager
async def serve(app: Application, host: str = "127.0.0.1", port: int = LM_STUDIO_PORT) -> AsyncIterator[str]:
    """Serve ``app`` over HTTP in this context manager's block, which gets the base URL. Port 0 takes a free one.

    Raises OSError where the address cannot be had.
    """
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    config = hypercorn.Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    framework = cast("ASGIFramework", app)  # the same thing, with looser types of messages
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(partial(hypercorn.trio.serve, framework, config, mode="asgi"))
        yield url
        nursery.cancel_scope.cancel()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=LM_STUDIO_PORT, help="port, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of latencies and answers (default: %(default)s)")
    parser.add_argument(
        "--model",
        action="append",
        metavar="KEY",
        help="a downloaded model, with default latencies; may be repeated"
        f" (default: {', '.join(model.key for model in DEFAULT_MODELS)})",
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535; got {port}")
    return port


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted. Returns the exit status: 2 for bad input, or an address that cannot be had."""
    status = 0
    try:
        models = DEFAULT_MODELS if args.model is None else tuple(map(ModelSpec, args.model))
        server = MockLMStudio(models, LatencyProfile(seed=args.seed))
        trio.run(_serve_for_ever, server, args.host, args.port)
    except* KeyboardInterrupt:
        pass
    except* (ConfigurationError, OSError) as group:
        print(f"error: {group.exceptions[0]}", file=sys.stderr)
        status = 2
    return status


async def _serve_for_ever(server: MockLMStudio, host: str, port: int) -> None:
    async with serve(server, host, port) as url:
        print(f"{url} serves {', '.join(server.models)}", flush=True)
        await trio.sleep_forever()
