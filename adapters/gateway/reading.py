"""Read one request's body from the client, within its bounds."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..http.members import JsonObject, read_object
from .answer import Receive
from .problems import Problem

__all__ = ["RefusedError", "UnreadableBodyError", "json_object", "read_body"]


class UnreadableBodyError(Exception):
    """The body cannot be read on. The HTTP server answers by itself."""


class RefusedError(Exception):
    """The request is refused by the gateway itself, as ``problem`` says."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


async def read_body(receive: Receive, hold: Callable[[int], None], *, most_bytes: int, seconds: float) -> bytes:
    """Return the whole body. Raises RefusedError (413 above ``most_bytes``, 408 after ``seconds``), UnreadableBodyError.

    ``hold`` is told of every piece's length, and may refuse it.
    """
    body = bytearray()
    with trio.move_on_after(seconds):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise UnreadableBodyError
            piece = message.get("body", b"")
            if len(body) + len(piece) > most_bytes:
                raise RefusedError(Problem(413, "body_too_large", f"the body must have at most {most_bytes} bytes"))
            hold(len(piece))
            body += piece
            if not message.get("more_body", False):
                return bytes(body)
    raise RefusedError(Problem(408, "slow_sender", f"the body did not arrive within {seconds:g} s"))


def json_object(body: bytes) -> JsonObject:
    """Return the JSON object that ``body`` is, in UTF-8. Raises RefusedError."""
    try:
        return read_object(body)
    except ValueError:
        raise RefusedError(Problem(400, "invalid_json", "the body must be a JSON object in UTF-8")) from None
