"""Carry out ``forward`` for any HTTP adapter: a client's request to the leased instance as it is, the answer's bytes back.

Of the request three things change. Headers that concern one connection only, and those that hold the client's credentials, are left out
(the adapter sends its own). And in a body that is a JSON object, the value of the top-level ``model`` becomes the instance's name; every
other byte stays. No redirect is followed: it is an answer like any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import trio

from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import AdapterError, AdapterRequestError, AdapterTimeoutError, ModelEvictedError
from statemachine.foreign import ForeignJSONError, check_nesting

from .bounds import CONTROL_SECONDS, Patience
from .client import HttpClient, HttpResponse, payload_of
from .secrets import without_frames

__all__ = ["Judge", "forward", "with_model", "with_options"]

Judge: TypeAlias = Callable[[AdapterError], Awaitable[AdapterError]]
"""Finds out what an error of the server means."""

REFUSAL_BYTES: Final = 64 * 1024
"""How much of a refusal is read to find out what it means."""

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
async def forward(
    http: HttpClient, request: ForwardRequest, model: str, judge: Judge | None = None
) -> AsyncGenerator[ForwardResponse, None]:
    """Send ``request`` to the server of ``http``; the block gets the answer. Leaving the block ends the request. Raises AdapterError.

    ``model`` is the name of the leased instance. The time-outs are those of a call; each piece of the answer counts as an event.
    Whatever the server answers is an answer, but for a refusal that ``judge`` takes for an eviction: that is raised.
    """
    try:
        async with _forwarded(http, request, model, judge) as response:
            yield response
    except AdapterError as error:
        raise without_frames(error)  # noqa: B904  # it is the same error


@asynccontextmanager
async def _forwarded(
    http: HttpClient, request: ForwardRequest, model: str, judge: Judge | None
) -> AsyncGenerator[ForwardResponse, None]:
    if not _PATH.fullmatch(request.path) or "#" in request.path or not _METHOD.fullmatch(request.method):
        raise AdapterRequestError(f"{http.server}: the request's path or method cannot be forwarded")
    patience = http.patience()
    headers = list(_passing(request.headers, _ONE_HOP | _CREDENTIALS))
    body = with_model(request.body, model)
    async with http.open(request.method.upper(), request.path, body, headers, patience, kept=True) as answer:
        said = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in answer.headers.raw]
        kept = tuple(_passing(said, _ONE_HOP | {"content-encoding"}))
        pieces = _Pieces(answer, patience)
        if judge is not None and not 200 <= answer.status < 300:
            refusal = payload_of(await pieces.beginning())
            if isinstance(error := await judge(http.failure(answer, refusal)), ModelEvictedError):
                raise error
        yield ForwardResponse(answer.status, kept, pieces)


class _Pieces:
    """The pieces of an answer's body, each an event. No generator: one that is left early would be closed by the garbage collector."""

    def __init__(self, answer: HttpResponse, patience: Patience) -> None:
        self._answer = answer
        self._patience = patience
        self._read = b""  # and not yet handed on
        self._broken: AdapterError | None = None  # how it broke off behind that

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece, self._read = self._read, b""
        if not piece and self._broken is not None:
            raise self._broken
        while not piece:
            if (following := await self._next()) is None:
                raise StopAsyncIteration
            piece = following
        return piece

    async def aclose(self) -> None:
        """Do nothing: leaving the block of ``forward`` ends the request."""

    async def beginning(self) -> bytes:
        """Read the body, as far as a refusal is read: for 15 s, and up to where it breaks off. It is handed on afterwards."""
        try:
            with trio.move_on_after(CONTROL_SECONDS) as scope:
                while len(self._read) < REFUSAL_BYTES and (piece := await self._next()) is not None:
                    self._read += piece
            if scope.cancelled_caught:
                self._broken = AdapterTimeoutError("a refusal takes longer than it is waited for")
        except AdapterError as error:
            self._broken = error
        return self._read

    async def _next(self) -> bytes | None:
        self._patience.event_seen()
        piece = await self._answer.piece(self._patience)
        if piece is None:
            self._answer.finished()
        return piece


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


def with_options(body: bytes, options: Mapping[str, Any]) -> bytes:
    """Return ``body`` with those of ``options`` that its top-level object ``options`` does not have; all other bytes stay."""
    text = body.decode("utf-8", "surrogateescape")
    try:
        places = {name: (start, end) for name, start, end in _members(text)}
        if "options" not in places:
            place, given, written = text.index("{") + 1, set(places), f'"options":{json.dumps(dict(options))}'
        else:
            start, end = places["options"]
            given = {name for name, _, _ in _members(text[start:end])}
            missing = {name: value for name, value in options.items() if name not in given}
            place, written = start + 1, json.dumps(missing)[1:-1]
    except ValueError:  # the server will say so
        return body
    comma = "," if given and written else ""
    return f"{text[:place]}{written}{comma}{text[place:]}".encode("utf-8", "surrogateescape")


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the names of the top-level object, and where their values begin and end. Raises ValueError if the text is no JSON object."""
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
    """Return the headers that go on: neither those that are stopped, nor those that ``Connection`` names."""
    headers = list(headers)
    named = {
        word.strip().lower() for name, value in headers if name.lower() == "connection" for word in value.split(",")
    }
    return (pair for pair in headers if pair[0].lower() not in {*stopped, *named})
