"""Read one request's body from the client, within its bounds, and notice when the client goes away."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import trio

from statemachine.foreign import check_nesting

from .answer import Receive
from .problems import Problem

__all__ = ["ClientGoneError", "RefusedError", "json_object", "read_body", "until_gone"]


class ClientGoneError(Exception):
    """The client closed its connection."""


class RefusedError(Exception):
    """The request is refused by the gateway itself, as ``problem`` says."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


async def read_body(receive: Receive, hold: Callable[[int], None], *, most_bytes: int, seconds: float) -> bytes:
    """Return the whole body. Raises RefusedError (413 above ``most_bytes``, 408 after ``seconds``), ClientGoneError.

    ``hold`` is told of every piece's length, and may refuse it.
    """
    body = bytearray()
    with trio.move_on_after(seconds):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            piece = message.get("body", b"")
            if len(body) + len(piece) > most_bytes:
                raise RefusedError(Problem(413, "body_too_large", f"the body must have at most {most_bytes} bytes"))
            hold(len(piece))
            body += piece
            if not message.get("more_body", False):
                return bytes(body)
    raise RefusedError(Problem(408, "slow_sender", f"the body did not arrive within {seconds:g} s"))


def json_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object that ``body`` is, in UTF-8. Raises RefusedError.

    What is accepted here is what :func:`~adapters.http.with_model` can look into: a body that only one of the two could read would go to
    the server with another model's name than the lease's.
    """
    try:
        text = body.decode("utf-8-sig")
        check_nesting(text)
        value = json.loads(text)
    except ValueError:
        raise RefusedError(Problem(400, "invalid_json", "the body must be a JSON object in UTF-8")) from None
    if not isinstance(value, Mapping):
        raise RefusedError(Problem(400, "invalid_json", "the body must be a JSON object"))
    return value


async def until_gone(receive: Receive) -> None:
    """Return when the client has gone. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
