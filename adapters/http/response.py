"""An answer over HTTP: its status and headers, its body in pieces, by either client. Everything is bounded, errors are typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import trio

from statemachine.errors import AdapterError, AdapterProtocolError

from .bounds import CONTROL_SECONDS, Patience
from .decoding import ContentDecoder
from .library import httpx

__all__ = ["LOST", "HttpResponse", "HttpxAnswer", "RawAnswer"]

CLOSE_SECONDS: Final = 5
DRAIN_SECONDS: Final = 0.25
LOST: Final = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError, RuntimeError)
"""What httpx and what lies below it raise when a request cannot be made or its answer cannot be read. RuntimeError: a closed client."""


class RawAnswer(Protocol):
    """An answer as it comes from below: its head was read, its body comes in pieces as they are. Raises what httpx raises."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def begun(self) -> bool: ...

    def here(self) -> bytes:
        """Return a piece that need not be waited for, if there is one."""

    async def piece(self) -> bytes | None:
        """Return the next piece; None at the end."""

    async def aclose(self, linger: float) -> None:
        """End the request, also when cancelled. The body's end may be waited for, ``linger`` seconds."""


class HttpxAnswer:
    """The answer to a request that httpx has sent."""

    begun = False

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: Sequence[tuple[bytes, bytes]] = response.headers.raw
        self._response = response
        self._raw = response.aiter_raw()

    def here(self) -> bytes:
        """Return nothing: whether httpx has a piece is not known."""
        return b""

    async def piece(self) -> bytes | None:
        """Return the next piece; None at the end."""
        return await anext(self._raw, None)

    async def aclose(self, linger: float) -> None:
        """End the request.

        The read that is given up is cancelled, which ends all of httpx's nested generators: closing the outermost would leave the
        inner ones to the garbage collector.
        """
        with trio.CancelScope(deadline=trio.current_time() + linger, shield=True) as reading, suppress(*LOST):
            if not linger:
                reading.cancel()
            async for _ in self._raw:
                pass
        with trio.CancelScope(deadline=trio.current_time() + CLOSE_SECONDS, shield=True), suppress(*LOST):
            await self._response.aclose()


class HttpResponse:
    """The server's answer: its head has been read, its body comes in pieces, decoded from any content encoding.

    ``begun``: the first piece, or the end, is here already. ``server`` is its public URL; ``lost`` makes the error for an answer that
    broke off; ``most_bytes`` bounds a body that is read as a whole.
    """

    def __init__(
        self, answer: RawAnswer, server: str, lost: Callable[[Exception], AdapterError], most_bytes: int
    ) -> None:
        self.status: Final = answer.status
        self.raw_headers: Final = answer.headers
        self.begun: Final = answer.begun
        self._answer = answer
        self._server = server
        self._lost = lost
        self._most_bytes = most_bytes
        self._decoder: ContentDecoder | None = None
        self._decoded: Iterator[bytes] | None = None
        self._linger = 0.0

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names, in any case."""
        return httpx.Headers(list(self.raw_headers))

    async def piece(self, patience: Patience) -> bytes | None:
        """Return the next piece of the body, at most 64 KiB of what was encoded; None at its proper end. Raises AdapterError."""
        while True:
            for decoded in self._decoded or ():
                return decoded
            raw = self._answer.here() or await self._next(patience)
            if raw is None:
                return None
            if self._decoder is None:
                given = [value for name, value in self.raw_headers if name.lower() == b"content-encoding"]
                self._decoder = ContentDecoder(b", ".join(given).decode("latin-1"), self._server)
            if self._decoder.is_plain:
                return raw
            self._decoded = self._decoder.feed(raw)

    async def read(self, patience: Patience) -> bytes:
        """Read the whole body, within ``max_body_bytes``. Raises AdapterError.

        Of a refusal (a status outside 2xx) what can be read within 15 s: the status has said what it means, whatever becomes of its body.
        """
        body = bytearray()
        if self.succeeded:
            await self._read_into(body, patience)
        else:
            with trio.move_on_after(CONTROL_SECONDS), suppress(AdapterError):
                await self._read_into(body, patience)
        return bytes(body)

    async def _read_into(self, body: bytearray, patience: Patience) -> None:
        while (piece := await self.piece(patience)) is not None:
            body += piece
            if len(body) > self._most_bytes:
                raise AdapterProtocolError(f"{self._server}: an answer of more than {self._most_bytes} bytes")

    @property
    def succeeded(self) -> bool:
        """Whether its status is 2xx."""
        return 200 <= self.status < 300

    def finished(self) -> None:
        """Note that all that matters is read: closing may wait a moment for the body's end, so that the server sees no interruption."""
        self._linger = DRAIN_SECONDS

    async def aclose(self) -> None:
        """End the request, also when cancelled."""
        await self._answer.aclose(self._linger)

    async def _next(self, patience: Patience) -> bytes | None:
        try:
            with trio.move_on_at(patience.deadline):
                return await self._answer.piece()
        except LOST as error:
            lost = self._lost(error)
        else:
            lost = patience.exhausted(self._server)
        raise lost
