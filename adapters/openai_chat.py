"""OpenAI's chat completions, on the wire: the request's body, and what its answer says as events.

Every OpenAI-compatible server is read with this file, so it takes what they differ in: chunks with or without usage, reasoning under two
names, errors in every shape (see ``http_errors``), a stream where none was asked for and the other way round.

An answer always closes with exactly one ``end`` or ``error``:

- ``[DONE]``, or the end of the body, after a finish reason: ``end`` with that reason;
- ``[DONE]`` without a finish reason: ``end`` with None, or AdapterProtocolError if there was no answer at all, which is how some servers
  report a prompt that does not fit;
- the end of the body without either: TruncatedStreamError;
- an error in any shape, a lost connection, a time-out, an answer that makes no sense: the AdapterError for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
import trio

from statemachine.config.call import CallOptions, Message, StreamEvent, ToolCall
from statemachine.config.identity import copy_options
from statemachine.errors import AdapterError, AdapterProtocolError, ConfigurationError, TruncatedStreamError

from .http_client import HttpClient
from .http_errors import has_error
from .sse import LineTooLongError, ServerSentEvent, SSEDecoder

__all__ = ["ChatRequest", "chat_request", "stream_chat"]

CHAT_PATH: Final = "/v1/chat/completions"
DRAIN_SECONDS: Final = 0.25
_RESERVED: Final = frozenset({"messages", "model", "stream", "tools"})
_METADATA: Final = ("usage", "stats", "timings")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")


@dataclass(frozen=True, slots=True, repr=False)
class ChatRequest:
    """One POST: its JSON body, and headers of its own."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def secrets(self) -> list[str]:
        """What must not come back in a message: the words of its headers, but for short ones, which are no credentials."""
        return [word for value in self.headers.values() for word in value.split() if len(word) >= 8]


def chat_request(model: str, prompt: Sequence[Message], options: CallOptions) -> ChatRequest:
    """The request for ``prompt``. Raises ConfigurationError.

    ``options.parameters`` go into the body as they are; ``model``, ``messages``, ``stream`` and ``tools`` are refused there, and
    ``extra_headers`` (a mapping of header names to values) become headers, as in OpenAI's client. A stream is asked for its usage.
    """
    for name in sorted(_RESERVED & options.parameters.keys()):
        raise ConfigurationError(f"parameters.{name}", "is set from the call itself and must not be given", "a value")
    parameters = dict(options.parameters)
    headers = _headers(parameters.pop("extra_headers", {}))
    messages = [copy_options(message, f"prompt[{index}]") for index, message in enumerate(prompt)]
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": options.stream}
    if options.stream:
        body["stream_options"] = {"include_usage": True}
    if options.tools:
        body["tools"] = list(options.tools)
    return ChatRequest({**body, **parameters}, headers)


def _headers(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        rule = "must be a mapping of header names to values"
        raise ConfigurationError("parameters.extra_headers", rule, f"a {type(given).__name__}")
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError("parameters.extra_headers", "names must be HTTP header names", "another name")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            rule = "must be printable ASCII without blanks around it"
            raise ConfigurationError(f"parameters.extra_headers.{name}", rule, f"a {type(value).__name__}")
    return dict(given)


async def stream_chat(http: HttpClient, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
    """Make the request; yield the answer's events. Failures are events too: nothing but cancellation is raised."""
    try:
        async with http.stream(CHAT_PATH, request.body, request.headers) as response:
            reader = _ChatReader(http, request)
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                for event in reader.whole(response.status_code, await response.aread()):
                    yield event
                return
            pieces = response.aiter_bytes()
            try:
                async for piece in pieces:
                    for event in reader.feed(piece):
                        yield event
                    if reader.closed:
                        return
                for event in reader.finish():
                    yield event
                return
            finally:
                await _exhaust(pieces, DRAIN_SECONDS if reader.closed else 0)
    except httpx.HTTPError as error:
        failure = http.lost(error)
        failure.__cause__ = error
    yield StreamEvent("error", failure)


async def _exhaust(pieces: AsyncIterator[bytes], seconds: float) -> None:
    """Read on to the end of the body, for ``seconds`` at most.

    Until its body is read, a connection cannot be used again. Giving up cancels the read, which ends all of httpx's nested
    generators: closing the outermost would leave the inner ones to the garbage collector.
    """
    with trio.move_on_after(seconds), suppress(httpx.HTTPError):
        async for _ in pieces:
            pass


class _ChatReader:
    """Turns the body of one answer into events. ``closed`` once the closing event is out."""

    def __init__(self, http: HttpClient, request: ChatRequest) -> None:
        self.closed = False
        self._http = http
        self._secrets = request.secrets
        self._decoder = SSEDecoder()
        self._answered = False
        self._finish_reason: str | None = None

    def whole(self, status: int, body: bytes) -> Iterator[StreamEvent]:
        """The events of an answer that is not a stream."""
        try:
            payload = self._http.checked(status, body, secrets=self._secrets)
        except AdapterError as error:
            yield self._fail(error)
            return
        yield from self._chunk(payload)
        yield self._done()

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
        """The events that the next piece of a stream completes."""
        try:
            frames = self._decoder.feed(piece)
        except LineTooLongError as error:
            yield self._fail(self._nonsense(str(error)))
            return
        yield from self._frames(frames)

    def finish(self) -> Iterator[StreamEvent]:
        """The events at the end of a stream's body."""
        yield from self._frames(self._decoder.finish())
        if not self.closed:
            if self._finish_reason is not None:
                yield self._done()
            else:
                yield self._fail(TruncatedStreamError(f"{self._http.server}: the stream stopped without its end"))

    def _frames(self, frames: Sequence[ServerSentEvent]) -> Iterator[StreamEvent]:
        for frame in frames:
            yield from self._frame(frame)
            if self.closed:
                return

    def _frame(self, frame: ServerSentEvent) -> Iterator[StreamEvent]:
        if frame.data == "[DONE]":
            yield self._done()
            return
        payload = _json_or_text(frame.data)
        if frame.event == "error" or has_error(payload):
            yield self._fail(self._http.failure(None, payload, secrets=self._secrets))
        elif isinstance(payload, Mapping):
            yield from self._chunk(payload)
        elif frame.data:
            yield self._fail(self._nonsense("a frame of the stream is not a JSON object"))

    def _chunk(self, payload: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """The events of one chunk of a stream (``delta``) or of a whole answer (``message``). Other choices than the first are left out."""
        choices = payload.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and choice.get("index", 0) == 0:
                for event in _pieces(_mapping(choice.get("delta") or choice.get("message"))):
                    self._answered = True
                    yield event
                reason = choice.get("finish_reason")
                self._finish_reason = reason if isinstance(reason, str) else self._finish_reason
        metadata = {name: payload[name] for name in _METADATA if payload.get(name)}
        if metadata:
            yield StreamEvent("metadata", metadata)

    def _done(self) -> StreamEvent:
        if self._finish_reason is None and not self._answered:
            return self._fail(self._nonsense("the answer ended before it began"))
        self.closed = True
        return StreamEvent("end", self._finish_reason)

    def _fail(self, error: AdapterError) -> StreamEvent:
        self.closed = True
        return StreamEvent("error", error)

    def _nonsense(self, what: str) -> AdapterProtocolError:
        return AdapterProtocolError(f"{self._http.server}: {what}")


def _pieces(delta: Mapping[str, Any]) -> Iterator[StreamEvent]:
    """The parts of one delta or message. The first delta of a stream has a role only, and gives none."""
    reasoning = delta.get("reasoning_content") or delta.get("reasoning")
    if reasoning and isinstance(reasoning, str):
        yield StreamEvent("reasoning", reasoning)
    content = delta.get("content")
    if content and isinstance(content, str):
        yield StreamEvent("token", content)
    calls = delta.get("tool_calls")
    for position, call in enumerate(calls if isinstance(calls, list) else ()):
        yield StreamEvent("tool_call", _tool_call(_mapping(call), position))


def _tool_call(call: Mapping[str, Any], position: int) -> ToolCall:
    function = _mapping(call.get("function"))
    index = call.get("index")
    return ToolCall(
        index if isinstance(index, int) else position,
        call.get("id"),
        function.get("name"),
        function.get("arguments") or "",
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json_or_text(data: str) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return data
