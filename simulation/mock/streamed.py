"""What the mock servers on Starlette share: an answer in pieces, work that ends with its client, and a request's body as an object.

Starlette's own streaming answer learns that the client has gone from a failing ``send`` only; here a task waits for it, so that a client
that leaves a silent stream, or a request that waits for its model, is seen at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import trio
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from statemachine.text import encodable

from .http import BodyError, read_json

__all__ = [
    "TOKENS_LIMIT",
    "CutError",
    "Produce",
    "Shape",
    "Streamed",
    "Write",
    "fits",
    "made_up_arguments",
    "read_object",
    "while_client_stays",
]

TOKENS_LIMIT: Final = 1_000_000
"""The largest integer that a request may have where it counts tokens, which are made at once."""
Shape: TypeAlias = type | list[Any] | dict[str, Any]
"""A type; a list of one shape, which every item has; the shapes of an object's members. ``object``: anything."""
Write: TypeAlias = Callable[[bytes], Awaitable[None]]
Produce: TypeAlias = Callable[[Write], Awaitable[None]]

_EXAMPLES: Final[Mapping[str, object]] = {"integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


class CutError(Exception):
    """The answer ends without its end."""


class Streamed:
    """An answer whose body ``produce`` writes, as an ASGI application. A CutError in it makes the server close the connection."""

    def __init__(self, produce: Produce, media_type: str) -> None:
        self._produce = produce
        self._media_type = media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def write(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        headers = [(b"content-type", self._media_type.encode()), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await self._produce(write)
        except CutError:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def while_client_stays(receive: Receive, work: Callable[[], Awaitable[None]]) -> bool:
    """Run ``work`` until its end, or until the client leaves. Return whether it came to its end. The request's body must have been read."""
    ended = False

    async def watch(scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        await work()
        ended = True
        nursery.cancel_scope.cancel()
    return ended


async def read_object(request: Request, shape: Shape) -> dict[str, Any] | None:
    """Read the request's body; return None where it is not a JSON object of this ``shape``, or too large."""
    try:
        body = await read_json(request)
    except BodyError:
        return None
    return body if isinstance(body, dict) and fits(body, shape) else None


def fits(value: object, shape: Shape) -> bool:
    """Return whether JSON data has a shape: null fits any, integers are at most ``TOKENS_LIMIT``, texts can be encoded."""
    if value is None or shape is object:
        return True
    if isinstance(shape, list):
        return isinstance(value, list) and all(item is not None and fits(item, shape[0]) for item in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(fits(value.get(name), part) for name, part in shape.items())
    if type(value) is not shape:
        return False
    return (
        value == encodable(value)
        if isinstance(value, str)
        else not isinstance(value, int) or abs(value) <= TOKENS_LIMIT
    )


def made_up_arguments(schema: object) -> dict[str, Any]:
    """Arguments that fit a tool's JSON schema: a value for every property that it requires."""
    described = schema if isinstance(schema, dict) else {}
    properties, required = described.get("properties"), described.get("required")
    kinds = properties if isinstance(properties, dict) else {}
    return {name: _example(kinds.get(name)) for name in (required if fits(required, [str]) and required else ())}


def _example(described: object) -> object:
    kind = described.get("type") if isinstance(described, dict) else None
    return _EXAMPLES.get(kind, "example") if isinstance(kind, str) else "example"
