"""Carry out ``forward`` for any HTTP adapter: a client's request to the leased instance as it is, the answer's bytes back.

Of the request three things change. Headers that concern one connection only, and those that hold the client's credentials, are left out
(the adapter sends its own). And in a body that is a JSON object, the value of the top-level ``model`` becomes the instance's name; every
other byte stays. No redirect is followed: it is an answer like any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, TypeAlias

import trio

from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import AdapterError, AdapterRequestError, AdapterTimeoutError, ModelEvictedError

from .bounds import CONTROL_SECONDS, Patience
from .client import HttpClient, payload_of
from .members import members, model_places
from .response import HttpResponse
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
_STAY: Final = _ONE_HOP | _CREDENTIALS
_STAY_BACK: Final = _ONE_HOP | {"content-encoding"}


def forward(
    http: HttpClient, request: ForwardRequest, model: str, judge: Judge | None = None
) -> AbstractAsyncContextManager[ForwardResponse]:
    """Send ``request`` to the server of ``http``; the block gets the answer. Leaving the block ends the request. Raises AdapterError.

    ``model`` is the name of the leased instance. The time-outs are those of a call; each piece of the answer counts as an event.
    Whatever the server answers is an answer, but for a refusal that ``judge`` takes for an eviction: that is raised.
    """
    return _Forwarding(http, request, model, judge)


class _Forwarding:
    """One request that is passed on, for the length of the block. No generator: it lies on the way of every first byte."""

    def __init__(self, http: HttpClient, request: ForwardRequest, model: str, judge: Judge | None) -> None:
        self._http = http
        self._request = request
        self._model = model
        self._judge = judge
        self._answer: HttpResponse | None = None

    async def __aenter__(self) -> ForwardResponse:
        try:
            return await self._begin()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, AdapterError):
            without_frames(error)
        if self._answer is not None:
            await self._answer.aclose()

    async def _begin(self) -> ForwardResponse:
        http, request = self._http, self._request
        if not _PATH.fullmatch(request.path) or "#" in request.path or not _METHOD.fullmatch(request.method):
            raise AdapterRequestError(f"{http.server}: the request's path or method cannot be forwarded")
        patience = http.patience()
        headers = _passing(request.headers, _STAY)
        body = with_model(request.body, self._model, request.model_at)
        answer = self._answer = await http.pass_on(request.method.upper(), request.path, body, headers, patience)
        said = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in answer.raw_headers]
        pieces = _Pieces(answer, patience)
        if self._judge is not None and not 200 <= answer.status < 300:
            refusal = payload_of(await pieces.beginning())
            if isinstance(error := await self._judge(http.failure(answer, refusal)), ModelEvictedError):
                raise error
        return ForwardResponse(answer.status, tuple(_passing(said, _STAY_BACK)), pieces, answer.begun)


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


def with_model(body: bytes, model: str, places: Sequence[tuple[int, int]] | None = None) -> bytes:
    """Return ``body`` with the value of its top-level ``model`` replaced, if it is a JSON object that has one. Else as it is.

    ``places``: from which byte to which its values are, where that is known.
    """
    name, kept_to, replaced = json.dumps(model).encode(), 0, []
    for start, end in _models(body) if places is None else places:
        replaced += [body[kept_to:start], name]
        kept_to = end
    return b"".join([*replaced, body[kept_to:]])


def _models(body: bytes) -> Sequence[tuple[int, int]]:
    """Find every value of ``model``, because readers of repeated names differ in which they take."""
    try:
        return model_places(body, members(body.decode("utf-8", "surrogateescape"))[0])
    except ValueError:  # no JSON, or none that may be looked into: the server will say so
        return ()


def with_options(body: bytes, options: Mapping[str, Any]) -> bytes:
    """Return ``body`` with those of ``options`` that its top-level object ``options`` does not have; all other bytes stay."""
    text = body.decode("utf-8", "surrogateescape")
    try:
        places = {member.name: member for member in members(text)[0]}
        if "options" not in places:
            place, given, written = text.index("{") + 1, set(places), f'"options":{json.dumps(dict(options))}'
        else:
            start, end = places["options"].start, places["options"].end
            given = {member.name for member in members(text[start:end])[0]}
            missing = {name: value for name, value in options.items() if name not in given}
            place, written = start + 1, json.dumps(missing)[1:-1]
    except ValueError:  # the server will say so
        return body
    comma = "," if given and written else ""
    return f"{text[:place]}{written}{comma}{text[place:]}".encode("utf-8", "surrogateescape")


def _passing(headers: Sequence[tuple[str, str]], stopped: Set[str]) -> list[tuple[str, str]]:
    """Return the headers that go on: neither those that are stopped, nor those that ``Connection`` names."""
    passing, named = [], ""
    for pair in headers:
        if (name := pair[0].lower()) not in stopped:
            passing.append(pair)
        elif name == "connection":
            named += f",{pair[1].lower()}"
    if not named:
        return passing
    of_this_hop = {word.strip() for word in named.split(",")}
    return [pair for pair in passing if pair[0].lower() not in of_this_hop]
