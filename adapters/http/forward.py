"""Carry out ``forward`` for any HTTP adapter: a client's request to the leased instance as it is, the answer's bytes back.

Of the request three things change. Headers that concern one connection only, and those that hold the client's credentials, are left out
(the adapter sends its own). And in a body that is a JSON object, the value of the top-level ``model`` becomes the instance's name; every
other byte stays. No redirect is followed: it is an answer like any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Final

from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import AdapterRequestError
from statemachine.foreign import ForeignJSONError, check_nesting

from .bounds import Patience
from .client import Answer, HttpClient

__all__ = ["forward", "with_model"]

_ONE_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    }
    | {"transfer-encoding", "content-length", "host", "expect", "accept-encoding"}
)
_CREDENTIALS: Final = frozenset(["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"])
_PATH: Final = re.compile(r"/[!-~]*")
_METHOD: Final = re.compile(r"[A-Za-z]{1,20}")
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)  # the values are not looked at


@asynccontextmanager
async def forward(http: HttpClient, request: ForwardRequest, model: str) -> AsyncGenerator[ForwardResponse, None]:
    """Send ``request`` to the server of ``http``; the block gets the answer. Leaving the block ends the request. Raises AdapterError.

    ``model`` is the name of the leased instance. The time-outs are those of a call; each piece of the answer counts as an event.
    """
    if not _PATH.fullmatch(request.path) or "#" in request.path or not _METHOD.fullmatch(request.method):
        raise AdapterRequestError(f"{http.server}: the request's path or method cannot be forwarded")
    patience = http.patience()
    headers = list(_passing(request.headers, _ONE_HOP | _CREDENTIALS))
    body = with_model(request.body, model)
    async with http.open(request.method.upper(), request.path, body, headers, patience) as answer:
        kept = tuple(_passing(answer.headers.multi_items(), _ONE_HOP | {"content-encoding"}))
        yield ForwardResponse(answer.status, kept, _pieces(answer, patience))


def with_model(body: bytes, model: str) -> bytes:
    """Return ``body`` with the value of its top-level ``model`` replaced, if it is a JSON object that has one. Else as it is."""
    text = body.decode("utf-8", "surrogateescape")
    replaced, kept_to = [], 0
    try:
        for name, start, end in _members(text):
            if name == "model":  # every one: readers of repeated names differ in which they take
                replaced += [text[kept_to:start], json.dumps(model)]
                kept_to = end
    except ValueError:  # no JSON, or none that may be looked into: the server will say so
        return body
    return "".join([*replaced, text[kept_to:]]).encode("utf-8", "surrogateescape")


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """The names of the top-level object, and where their values begin and end. Raises ValueError if the text is no JSON object."""
    check_nesting(text)
    position = _after_blanks(text, len(text) - len(text.removeprefix("\ufeff")))
    separator = "{"
    while text[position : position + 1] == separator:
        position = _after_blanks(text, position + 1)
        if separator == "{" and text[position : position + 1] == "}":
            return
        if text[position : position + 1] != '"':
            raise ForeignJSONError("not JSON")
        name, position = _DECODER.raw_decode(text, position)
        position = _after_blanks(text, position)
        if text[position : position + 1] != ":":
            raise ForeignJSONError("not JSON")
        start = _after_blanks(text, position + 1)
        _, end = _DECODER.raw_decode(text, start)
        yield name, start, end
        position, separator = _after_blanks(text, end), ","
    if text[position : position + 1] != "}":
        raise ForeignJSONError("not a JSON object")


def _after_blanks(text: str, position: int) -> int:
    match = _BLANKS.match(text, position)
    return position if match is None else match.end()


def _passing(headers: Iterable[tuple[str, str]], stopped: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The headers that go on: neither those that are stopped, nor those that ``Connection`` names."""
    headers = list(headers)
    named = {
        word.strip().lower() for name, value in headers if name.lower() == "connection" for word in value.split(",")
    }
    return (pair for pair in headers if pair[0].lower() not in {*stopped, *named})


async def _pieces(answer: Answer, patience: Patience) -> AsyncIterator[bytes]:
    patience.event_seen()
    while (piece := await answer.piece(patience)) is not None:
        yield piece
        patience.event_seen()
    answer.finished()
