"""One call over HTTP: make the request, hand the pieces of its answer to a reader, yield the events that it makes of them.

The one loop of every adapter that speaks HTTP. It keeps the time-outs, closes the connection whichever way it is left, and lets nothing out
but events and cancellation. What differs between protocols is the reader.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from statemachine.config.call import StreamEvent
from statemachine.errors import AdapterError, AdapterProtocolError

from .client import HttpClient, encoded, payload_of
from .lines import LineTooLongError
from .secrets import secrets_in_headers, without_frames

__all__ = ["AnswerReader", "HttpRequest", "stream_answer"]


@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """One POST: its path, its JSON body, and headers of its own."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def secrets(self) -> list[str]:
        """What must not come back in a message."""
        return secrets_in_headers(self.headers.values())


class AnswerReader(Protocol):
    """Turns the body of one successful answer (status 2xx) into events, the last of which is ``end`` or ``error``.

    ``feed`` takes the next piece, of any size; ``finish`` the body's proper end; ``fail`` an error, after which nothing can be read, and
    which a reader whose answer is complete already may take for its end. ``closed`` is True once the closing event is out; what
    comes after it is not read. All may raise LineTooLongError.
    """

    closed: bool

    def feed(self, piece: bytes) -> Iterable[StreamEvent]: ...

    def finish(self) -> Iterable[StreamEvent]: ...

    def fail(self, error: AdapterError) -> Iterable[StreamEvent]: ...


async def stream_answer(
    http: HttpClient, request: HttpRequest, reader: AnswerReader
) -> AsyncGenerator[StreamEvent, None]:
    """Make the request; yield the answer's events. Failures are events too: nothing but cancellation is raised."""
    patience = http.patience()
    headers = {name: value for name, value in request.headers.items() if name.lower() != "content-type"}
    headers["Content-Type"] = "application/json"
    failure: AdapterError | None = None
    try:
        async with http.open("POST", request.path, encoded(request.body), headers, patience) as answer:
            if not answer.succeeded:
                payload = payload_of(await answer.read(patience))
                raise http.failure(answer, payload, secrets=request.secrets)
            while not reader.closed:
                piece = await answer.piece(patience)
                seen = False
                for event in reader.finish() if piece is None else reader.feed(piece):
                    yield event
                    seen = True
                if piece is None:
                    break
                if seen:
                    patience.event_seen()
            answer.finished()
    except LineTooLongError as error:
        failure = AdapterProtocolError(f"{http.server}: {error}")
    except AdapterError as error:
        failure = without_frames(error)
    if failure is not None and not reader.closed:
        for event in reader.fail(failure):
            yield event
