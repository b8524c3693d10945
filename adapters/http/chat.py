"""OpenAI's chat completions: what an answer says, as events.

Every OpenAI-compatible server is read with this file, so it takes what they differ in: chunks with or without usage, text and
reasoning in several shapes (see ``parts``), tool calls with and without numbers (``tool_calls``), errors in every shape (``errors``), a
stream where none was asked for and the other way round, whatever the label says (``form``).

An answer always closes with exactly one ``end`` or ``error``:

- ``[DONE]``, or the end of the body, after a finish reason: ``end`` with that reason. From the finish reason on the answer is complete:
  what cannot be read after it, a cut or a silence included, changes nothing; an error that the server reports still is one;
- ``[DONE]`` without a finish reason: ``end`` with None, or AdapterProtocolError if there was no answer at all, which is how some servers
  report a prompt that does not fit;
- the end of the body without either: TruncatedStreamError;
- a finish reason that is none, such as ``error``; an error in any shape, a lost connection, a time-out, an answer that makes no sense
  or that has text in it that cannot be read: the AdapterError for it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, Final

from statemachine.config.call import StreamEvent
from statemachine.errors import AdapterError, AdapterProtocolError, ModelEvictedError, TruncatedStreamError
from statemachine.foreign import ForeignJSONError, read_json
from statemachine.text import encodable

from .bounds import NAME_LIMIT_CHARACTERS
from .client import HttpClient
from .errors import has_error
from .form import FormReader
from .lines import LineTooLongError
from .nothing import is_nothing
from .parts import Kind, TextJoiner, UnreadableError, parts_of
from .sse import ServerSentEvent, SSEDecoder
from .stream import HttpRequest, stream_answer
from .tool_calls import ToolCalls

__all__ = ["ChatReader", "stream_chat"]

_METADATA: Final = ("usage", "stats", "timings")
_REASONING: Final = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_NO_END: Final[Mapping[str, type[AdapterError]]] = {
    "error": AdapterError,
    "failed": AdapterError,
    "abort": TruncatedStreamError,
    "aborted": TruncatedStreamError,
    "cancelled": TruncatedStreamError,
    "canceled": TruncatedStreamError,
    "modelunloaded": ModelEvictedError,
    "model_unloaded": ModelEvictedError,
}
"""Finish reasons that say that the answer was not finished."""


def stream_chat(http: HttpClient, request: HttpRequest) -> AsyncGenerator[StreamEvent, None]:
    """Make the request; yield the answer's events. Failures are events too: nothing but cancellation is raised."""
    return stream_answer(http, request, ChatReader(http, request))


class ChatReader:
    """Reads the body of one answer, an event stream or a whole JSON object. See ``stream.AnswerReader``."""

    def __init__(self, http: HttpClient, request: HttpRequest) -> None:
        self.closed = False
        self._http = http
        self._secrets = request.secrets
        self._form = FormReader()
        bounds = http.bounds
        self._decoder = SSEDecoder(line_limit=bounds.max_line_bytes, event_limit=bounds.max_event_bytes)
        self._whole = bytearray()
        self._joiners: dict[Kind, TextJoiner] = {"reasoning": TextJoiner(), "token": TextJoiner()}
        self._calls = ToolCalls()
        self._answered = False
        self._unreadable: str | None = None
        self._finish_reason: str | None = None

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
        """The events that the next piece of the body completes."""
        piece = self._form.feed(piece)
        if self._form.form == "whole":
            self._whole += piece
            if len(self._whole) > self._http.bounds.max_body_bytes:
                raise LineTooLongError(f"an answer of more than {self._http.bounds.max_body_bytes} bytes")
        elif piece:
            yield from self._frames(self._decoder.feed(piece))

    def finish(self) -> Iterator[StreamEvent]:
        """The events at the end of the body."""
        self._whole += self._form.finish()
        if self._form.form == "whole":
            yield from self._read_whole()
            return
        yield from self._frames(self._decoder.finish())
        if not self.closed:
            yield from self.fail(TruncatedStreamError(f"{self._http.server}: the stream stopped without its end"))

    def fail(self, error: AdapterError) -> Iterator[StreamEvent]:
        """The closing events when nothing more can be read: an answer that is complete ends all the same."""
        if self._finish_reason is not None:
            yield from self._done()
        else:
            yield from self._failed(error)

    # ---- whole answers, and frames of a stream ----

    def _read_whole(self) -> Iterator[StreamEvent]:
        try:
            payload = read_json(self._whole)
        except ForeignJSONError as error:
            yield from self._nonsense(f"the answer is no JSON object that can be read: {error}")
            return
        if has_error(payload):
            yield from self._failed(self._http.failure(None, payload, secrets=self._secrets))
        elif not isinstance(payload, Mapping):
            yield from self._nonsense("the answer is not a JSON object")
        else:
            yield from self._chunk(payload, whole=True)
            if not self.closed:
                yield from self._done()

    def _frames(self, frames: Sequence[ServerSentEvent]) -> Iterator[StreamEvent]:
        for frame in frames:
            yield from self._frame(frame)
            if self.closed:
                return

    def _frame(self, frame: ServerSentEvent) -> Iterator[StreamEvent]:
        data = frame.data.strip()
        if data == "[DONE]":
            yield from self._done()
            return
        try:
            payload = read_json(data)
        except ForeignJSONError:
            payload = data
        if frame.event == "error" or has_error(payload):
            yield from self._failed(self._http.failure(None, payload, secrets=self._secrets))
        elif isinstance(payload, Mapping):
            yield from self._chunk(payload)
        elif not (payload is None or data == "" or data.startswith(":") or self._finish_reason is not None):
            yield from self._nonsense("a frame of the stream is not a JSON object")

    # ---- chunks ----

    def _chunk(self, payload: Mapping[str, Any], *, whole: bool = False) -> Iterator[StreamEvent]:
        """The events of one chunk of a stream (``delta``) or of a whole answer (``message``). Other choices than the first are left out."""
        choices = payload.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and choice.get("index") in (0, None, "0"):
                yield from self._content(_delta(choice, whole))
                yield from self._reason(choice)
                if self.closed:
                    return
        metadata = {name: _sound(payload[name]) for name in _METADATA if payload.get(name)}
        if metadata:
            yield StreamEvent("metadata", metadata)

    def _content(self, delta: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """The parts of one delta or message. The first delta of a stream has a role only, and gives none."""
        try:
            for kind, text in _texts(delta):
                self._answered = True
                if shown := self._joiners[kind].feed(text):
                    yield StreamEvent(kind, shown)
            function = delta.get("function_call")  # as tool calls were called before there could be several
            old = [] if is_nothing(function) else [{"index": 0, "function": function}]
            for call in self._calls.read(delta.get("tool_calls") or old):
                self._answered = True
                yield StreamEvent("tool_call", call)
        except UnreadableError as error:
            self._unreadable = str(error)

    def _reason(self, choice: Mapping[str, Any]) -> Iterator[StreamEvent]:
        reason = choice.get("finish_reason")
        if not isinstance(reason, str) or is_nothing(reason):
            return
        kind = _NO_END.get(reason.strip().lower())
        if kind is None:
            self._finish_reason = encodable(reason[:NAME_LIMIT_CHARACTERS])
        elif has_error(choice):
            yield from self._failed(self._http.failure(None, choice, secrets=self._secrets))
        else:
            yield from self._failed(
                kind(f"{self._http.server}: the server says that the answer ended in {reason.strip()}")
            )

    # ---- the end ----

    def _done(self) -> Iterator[StreamEvent]:
        if self._unreadable is not None:
            yield from self._nonsense(f"the answer has {self._unreadable}, which cannot be read")
        elif self._finish_reason is None and not self._answered:
            yield from self._nonsense("the answer ended before it began")
        else:
            yield from self._halves()
            self.closed = True
            yield StreamEvent("end", self._finish_reason)

    def _failed(self, error: AdapterError) -> Iterator[StreamEvent]:
        yield from self._halves()
        self.closed = True
        yield StreamEvent("error", error)

    def _nonsense(self, what: str) -> Iterator[StreamEvent]:
        return self._failed(AdapterProtocolError(f"{self._http.server}: {what}"))

    def _halves(self) -> Iterator[StreamEvent]:
        """What was held back of characters whose other halves never came."""
        for kind, joiner in self._joiners.items():
            if rest := joiner.finish():
                yield StreamEvent(kind, rest)
        for call in self._calls.finish():
            yield StreamEvent("tool_call", call)


def _delta(choice: Mapping[str, Any], whole: bool) -> Mapping[str, Any]:
    """What a choice adds. Where a chunk has a ``delta``, a ``message`` beside it is the text so far, which was told already."""
    names = ("message", "delta") if whole else ("delta",) if "delta" in choice else ("message",)
    for name in names:
        if not is_nothing(given := choice.get(name)):
            return given if isinstance(given, Mapping) else {"content": given}
    return {"content": choice["text"]} if isinstance(choice.get("text"), str) and "delta" not in choice else {}


def _texts(delta: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    reasoning = next((delta[name] for name in _REASONING if not is_nothing(delta.get(name))), None)
    yield from parts_of(reasoning, "reasoning")
    yield from parts_of(delta.get("content"))
    yield from parts_of(delta.get("refusal"))


def _sound(value: Any) -> Any:
    """Foreign data with its texts made encodable."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_sound(item) for item in value]
    if isinstance(value, Mapping):
        return {encodable(name): _sound(item) for name, item in value.items()}
    return value
