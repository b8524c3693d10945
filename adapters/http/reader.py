"""What the readers of JSON answers share: the form of the body, frames, the text of an answer, and how it closes.

A protocol's reader says what one JSON object means; everything else is here. See ``chat`` and ``responses``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from statemachine.config.call import StreamEvent
from statemachine.errors import (
    AdapterBusyError,
    AdapterError,
    AdapterProtocolError,
    AdapterTimeoutError,
    ModelEvictedError,
    TruncatedStreamError,
)
from statemachine.foreign import ForeignJSONError, read_json
from statemachine.text import encodable, fit_to_show

from .bounds import NAME_LIMIT_CHARACTERS
from .client import HttpClient
from .error_body import has_error
from .form import FormReader
from .lines import LineTooLongError
from .ndjson import NDJSONDecoder
from .nothing import has_text, is_nothing
from .parts import Kind, TextJoiner, UnreadableError, parts_of
from .sse import ServerSentEvent, SSEDecoder
from .stream import HttpRequest
from .tool_calls import ToolCalls

__all__ = ["JsonAnswerReader", "sound"]

_NO_END: Final[tuple[tuple[re.Pattern[str], type[AdapterError]], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        ("model_?unloaded", ModelEvictedError),
        ("insufficient|overload", AdapterBusyError),
        ("time_?out|timed_?out", AdapterTimeoutError),
        ("abort|cancell?ed|interrupt|preempt", TruncatedStreamError),
        ("error|fail|exception|malformed|crash", AdapterError),
    )
)
"""Words in finish reasons that say that the answer was not finished: ``insufficient_system_resource``, ``network_error`` ..."""
_CALLS: Final = ("tool_calls", "function_call", "tool_use")
_DONE: Final = re.compile(r'"?\[?done]?"?', re.IGNORECASE)
_ALIVE: Final = re.compile(r"ping|pong|heart[-_]?beat|keep[-_]?alive", re.IGNORECASE)


class JsonAnswerReader(ABC):
    """Reads the body of one answer: an event stream, a JSON object a line, or a whole JSON object. See ``stream.AnswerReader``.

    A subclass implements ``_read``, which yields the events of one JSON object, and sets ``_finish_reason`` when the answer is complete.
    From then on what cannot be read, a cut or a silence included, changes nothing. ``_is_piece`` tells lines from a whole answer.
    """

    def __init__(self, http: HttpClient, request: HttpRequest) -> None:
        self.closed = False
        self._http: Final = http
        self._secrets: Final = request.secrets
        self._form: Final = FormReader()
        bounds = http.bounds
        self._decoder: Final = SSEDecoder(line_limit=bounds.max_line_bytes, event_limit=bounds.max_event_bytes)
        self._whole: Final = bytearray()
        self._lines: NDJSONDecoder | None = None
        self._has_first_line = False
        self._joiners: Final[dict[Kind, TextJoiner]] = {"reasoning": TextJoiner(), "token": TextJoiner()}
        self._calls: Final = ToolCalls()
        self._answered = False
        self._unreadable: str | None = None
        self._unknown: str | None = None  # a member that may hold the answer, and is not known
        self._kept = 0  # characters that are kept until the answer's end
        self._finish_reason: str | None = None

    # ---- what comes: see ``stream.AnswerReader`` ----

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
        """Yield the events that the next piece of the body completes."""
        piece = self._form.feed(piece)
        if self._form.form == "whole":
            yield from self._unframed(piece)
        elif piece:
            yield from self._frames(self._decoder.feed(piece))

    def finish(self) -> Iterator[StreamEvent]:
        """Yield the events at the end of the body."""
        if self._form.finish() == "whole":
            yield from self._read_whole() if self._lines is None else self._values(self._lines.finish())
        else:
            yield from self._frames(self._decoder.finish())
        if not self.closed:
            yield from self._cut()

    def fail(self, error: AdapterError) -> Iterator[StreamEvent]:
        """Yield the closing events when nothing more can be read: an answer that is complete ends all the same."""
        if self._finish_reason is not None:
            yield from self._done()
        else:
            yield from self._failed(error)

    # ---- whole answers, and frames of a stream ----

    @abstractmethod
    def _read(self, payload: Mapping[str, Any], *, whole: bool) -> Iterator[StreamEvent]:
        """Yield the events of one JSON object: a chunk of a stream, or a whole answer."""

    @abstractmethod
    def _is_piece(self, payload: Mapping[str, Any]) -> bool:
        """Return whether a JSON object without a frame around it belongs to a stream of lines, and is no whole answer."""

    def _unframed(self, piece: bytes) -> Iterator[StreamEvent]:
        """Read what comes without frames: lines, where the first one is a piece of an answer; else a whole body, kept to its end."""
        if self._lines is None:
            self._whole.extend(piece)
            bound = self._http.bounds.max_body_bytes
            if len(self._whole) > bound:
                raise LineTooLongError(f"an answer of more than {bound} bytes")
            if self._has_first_line or b"\n" not in piece:
                return
            self._has_first_line = True
            if not self._first_line_is_piece():
                return
            self._lines = NDJSONDecoder(line_limit=self._http.bounds.max_line_bytes)
            piece = bytes(self._whole)
            self._whole.clear()
        yield from self._values(self._lines.feed(piece))

    def _begins_lines(self, payload: Mapping[str, Any]) -> bool:
        """Return whether the first of several lines is a piece of an answer."""
        return self._is_piece(payload)

    def _first_line_is_piece(self) -> bool:
        try:
            first = read_json(bytes(self._whole).partition(b"\n")[0])
        except ForeignJSONError:
            return False
        return isinstance(first, Mapping) and self._begins_lines(first)

    def _values(self, values: Sequence[Any]) -> Iterator[StreamEvent]:
        """Read lines, each of which is a JSON value; one that is none is its text."""
        for value in values:
            if self.closed:
                return
            yield from self._frame(ServerSentEvent("", value)) if isinstance(value, str) else self._payload(value)

    def _payload(self, payload: object, event: str = "", data: str = "") -> Iterator[StreamEvent]:
        """Read what one frame or line of a stream holds."""
        if event.lower() == "error" or has_error(payload):
            yield from self._reported(payload)
        elif isinstance(payload, Mapping):
            named = event not in ("", "message")  # an event may have its type as its name only
            yield from self._read({"type": event, **payload} if named else payload, whole=False)
        elif not (_says_nothing(event, data, payload) or self._finish_reason is not None):
            yield from self._nonsense("a frame of the stream is not a JSON object")

    def _read_whole(self) -> Iterator[StreamEvent]:
        try:
            payload = read_json(self._whole)
        except ForeignJSONError as error:
            yield from self._nonsense(f"the answer is no JSON object that can be read: {error}")
            return
        if has_error(payload):
            yield from self._reported(payload)
        elif isinstance(payload, list) and any(isinstance(item, Mapping) for item in payload):  # a stream as one list
            yield from self._values(payload)
        elif not isinstance(payload, Mapping):
            yield from self._nonsense("the answer is not a JSON object")
        elif self._is_piece(payload):
            yield from self._read(payload, whole=False)
        else:
            yield from self._read(payload, whole=True)
            if not self.closed:
                yield from self._done()

    def _frames(self, frames: Sequence[ServerSentEvent]) -> Iterator[StreamEvent]:
        for frame in frames:
            yield from self._frame(frame)
            if self.closed:
                return

    def _frame(self, frame: ServerSentEvent) -> Iterator[StreamEvent]:
        data = frame.data.strip()
        while data.startswith("data:"):  # a proxy has framed it once more
            data = data.removeprefix("data:").strip()
        if _DONE.fullmatch(data or frame.event):
            yield from self._done()
            return
        try:
            payload = read_json(data)
        except ForeignJSONError:
            payload = data
        if payload is data and "\n" in data and frame.event.lower() != "error":
            # frames without a blank line between them
            yield from self._frames([ServerSentEvent(frame.event, line) for line in data.split("\n")])
        else:
            yield from self._payload(payload, frame.event, data)

    # ---- what an answer is made of ----

    def _text(self, content: object, kind: Kind = "token") -> Iterator[StreamEvent]:
        """Yield the text in ``content``, whatever its shape. What cannot be read is remembered: the answer does not end well."""
        try:
            for found, text in parts_of(content, kind):
                self._answered = True
                if shown := self._joiners[found].feed(text):
                    yield StreamEvent(found, shown)
        except UnreadableError as error:
            self._unreadable = str(error)

    def _tool_calls(self, calls: object, *, whole: bool = False) -> Iterator[StreamEvent]:
        """Yield the pieces of tool calls in ``calls``, in OpenAI's shape. ``whole``: nothing follows on them."""
        try:
            for call in self._calls.read(calls, whole=whole):
                self._answered = True
                yield StreamEvent("tool_call", call)
        except UnreadableError as error:
            self._unreadable = str(error)

    def _look_through(self, given: Mapping[str, Any], known: Collection[str]) -> None:
        """Remember a member of an answer's part that has text in it, and is none of the known ones."""
        if self._unknown is None and not self._answered:
            self._unknown = next((str(name) for name in given if name not in known and has_text(given[name])), None)

    def _keep(self, characters: int) -> None:
        """Count so much more of the answer as kept until its end. Raises LineTooLongError beyond ``max_body_bytes`` in all."""
        self._kept += characters
        if self._kept > self._http.bounds.max_body_bytes:
            raise LineTooLongError(
                f"an answer of which more than {self._http.bounds.max_body_bytes} bytes have to be kept"
            )

    def _reason(self, reason: object, report: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """Note the finish reason, where the server tells one. ``report``, in which it stands, may hold an error that says more."""
        if has_error(report):
            yield from self._reported(report)
            return
        if isinstance(reason, Mapping):  # as SGLang has it
            reason = reason.get("type")
        if not isinstance(reason, str) or is_nothing(reason):
            return
        kind = next((kind for pattern, kind in _NO_END if pattern.search(reason)), None)
        if kind is None:
            self._complete(reason)
        else:
            text = f"the server says that the answer ended in {fit_to_show(reason, NAME_LIMIT_CHARACTERS)}"
            yield from self._failed(kind(f"{self._http.server}: {text}"))

    def _complete(self, reason: str) -> None:
        """Note that the answer is complete. The first reason stands: some servers let ``stop`` follow on ``tool_calls``."""
        if self._finish_reason is None:
            self._finish_reason = encodable(reason.strip()[:NAME_LIMIT_CHARACTERS])

    # ---- how it closes ----

    def _done(self) -> Iterator[StreamEvent]:
        if self._calls.nameless:
            self._unreadable = "a tool call without a name"
        elif not self._answered and self._unknown is not None:
            self._unreadable = f"nothing but {fit_to_show(self._unknown, NAME_LIMIT_CHARACTERS)}"
        elif not self._answered and self._finish_reason in _CALLS:
            self._unreadable = "no tool call, though it ends with tool calls"
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

    def _reported(self, payload: object) -> Iterator[StreamEvent]:
        """End the answer with the error that the server reports."""
        return self._failed(self._http.failure(None, payload, secrets=self._secrets))

    def _cut(self) -> Iterator[StreamEvent]:
        """End the answer, as the body has ended: well, if the answer is complete."""
        return self.fail(TruncatedStreamError(f"{self._http.server}: the stream stopped without its end"))

    def _nonsense(self, what: str) -> Iterator[StreamEvent]:
        return self._failed(AdapterProtocolError(f"{self._http.server}: {what}"))

    def _halves(self) -> Iterator[StreamEvent]:
        """Yield what was held back of characters whose other halves never came."""
        for kind, joiner in self._joiners.items():
            if rest := joiner.finish():
                yield StreamEvent(kind, rest)
        for call in self._calls.finish():
            yield StreamEvent("tool_call", call)


def _says_nothing(event: str, data: str, payload: object) -> bool:
    """Return whether a frame that is no object is but a sign of life."""
    return (
        is_nothing(payload)
        or payload is True
        or data.startswith(":")
        or bool(_ALIVE.fullmatch(data) or _ALIVE.fullmatch(event))
    )


def sound(value: Any) -> Any:
    """Return foreign data with its texts made encodable."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [sound(item) for item in value]
    if isinstance(value, Mapping):
        return {encodable(name): sound(item) for name, item in value.items()}
    return value
