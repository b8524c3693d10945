"""What must hold of every reader of answers, whatever comes: one typed end, text that can be written, and bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

from hypothesis import strategies as st

from adapters.anthropic.reader import MessagesReader
from adapters.http import AnswerReader, Bounds, ChatReader, HttpClient, HttpRequest, LineTooLongError
from adapters.http.responses import ResponsesReader
from adapters.ollama.reader import OllamaReader
from statemachine import AdapterConnectError, AdapterError, StreamEvent, ToolCall
from statemachine.text import encodable

BOUNDS: Final = Bounds(max_line_bytes=4096, max_event_bytes=8192, max_body_bytes=16_384)
REQUEST: Final = HttpRequest("/v1/chat/completions", {}, {})
READERS: Final[tuple[Callable[[HttpClient, HttpRequest], AnswerReader], ...]] = (
    ChatReader,
    ResponsesReader,
    OllamaReader,
    MessagesReader,
)
PLACES: Final = 16
ALLOWED_BYTES: Final = 40 * BOUNDS.max_body_bytes
"""A few times what may be kept: Python's objects take several times the bytes that they are read from."""


@dataclass(frozen=True)
class Frame:
    """One frame: its bytes, the text it adds, and what it does: nothing, "finish", "done", "error", or "spoil" (no good end any more)."""

    wire: bytes
    text: str = ""
    does: str = ""


Transcript = tuple[list[Frame], bytes, bool]
"""The frames, what stands before them, and whether the body ends properly."""
Damage = list[tuple[int, bytes]]


@cache
def http() -> HttpClient:
    """What the readers need of a client; made once."""
    return HttpClient("http://host", bounds=BOUNDS)


texts = st.text(st.characters(codec="utf-8") | st.sampled_from("\ud83d\ude00\x00\u2028\x85"), max_size=8)
nothing: st.SearchStrategy[object] = st.sampled_from([None, "", "null", "None", False, 0, [], {}])
cuts_of_bodies = st.lists(st.integers(0, 2000), max_size=12)
_pieces = st.binary(max_size=12) | st.sampled_from(
    [b"\n", b"data:", b"{", b'"', b"[" * 200, b"9" * 500, b"null", b"\xff"]
)
damages = st.lists(st.tuples(st.integers(0, 5000), _pieces), max_size=6)
some_damages = st.lists(st.tuples(st.integers(0, 5000), _pieces), min_size=1, max_size=6)


def transcripts_of(frames: st.SearchStrategy[Frame]) -> st.SearchStrategy[Transcript]:
    """Answers made of such frames."""
    return st.tuples(st.lists(frames, max_size=8), st.sampled_from([b"", b"\xef\xbb\xbf", b"\n"]), st.booleans())


def body_of(transcript: Transcript) -> bytes:
    """Its bytes."""
    frames, start, _ = transcript
    return start + b"".join(frame.wire for frame in frames)


def read(reader: AnswerReader, pieces: Sequence[bytes], proper: bool) -> list[StreamEvent]:
    """What a reader makes of the pieces; checked for what must always hold."""
    events = list(_events(reader, pieces, proper))
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    assert reader.closed
    for event in events:
        _check(event)
    return events


def _check(event: StreamEvent) -> None:
    assert isinstance(event.data, AdapterError) == (event.type == "error")
    if isinstance(event.data, str):
        event.data.encode()
    elif isinstance(event.data, ToolCall):
        event.data.arguments.encode()
    elif isinstance(event.data, AdapterError):
        assert str(event.data).isprintable()
        assert len(str(event.data)) < 1000
    else:
        json.dumps(event.data, ensure_ascii=False, allow_nan=False).encode()


def _events(reader: AnswerReader, pieces: Sequence[bytes], proper: bool) -> Iterator[StreamEvent]:
    try:
        for piece in pieces:
            if not reader.closed:
                yield from reader.feed(piece)
        if proper and not reader.closed:
            yield from reader.finish()
    except LineTooLongError:
        pass
    if not reader.closed:
        yield from reader.fail(AdapterConnectError("cut"))


def split(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The body in pieces."""
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(places)]


def check_transcript(
    kind: Callable[[HttpClient, HttpRequest], AnswerReader],
    transcript: Transcript,
    cuts: Sequence[int],
    expected: tuple[str, str],
) -> None:
    """What is known of a transcript comes out, however it is split: its text, and how it closes."""
    body, (text, closing) = body_of(transcript), expected
    for pieces in ([body], split(body, cuts)):
        events = read(kind(http(), REQUEST), pieces, transcript[2])
        assert events[-1].type == closing
        assert "".join(str(event.data) for event in events if event.type == "token") == encodable(text)


def check_damage(transcript: Transcript, cuts: Sequence[int], damage: Damage, further: int = 0) -> None:
    """Bytes that were changed anywhere, and bytes at random: one typed end in every protocol, whatever they are.

    ``further``: how many bytes further on the damage is.
    """
    body = bytearray(body_of(transcript))
    for place, piece in [(place + further, piece) for place, piece in damage]:
        at = place % (len(body) + 1)
        body[at : at + place % 5] = piece
    for kind in READERS:
        read(kind(http(), REQUEST), split(bytes(body), cuts), transcript[2])


def check_damage_in_places(transcript: Transcript, cuts: Sequence[int], damage: Damage) -> None:
    """The same damage in ``PLACES`` places of the answer: to draw an answer takes longer than to read it."""
    length = len(body_of(transcript))
    for number in range(PLACES):
        check_damage(transcript, cuts, damage, number * length // PLACES)


def check_memory(transcript: Transcript, damage: Damage) -> None:
    """An answer without end, which says the same again and again, or nearly: what is kept of it is bounded."""
    body = bytearray(body_of(transcript))
    for place, piece in damage:
        at = place % (len(body) + 1)
        body[at : at + place % 5] = piece
    if not body:
        return
    for kind in READERS:
        reader = kind(http(), REQUEST)
        tracemalloc.start()
        try:
            for number in range(8 * ALLOWED_BYTES // (len(body) + 100)):
                if reader.closed:
                    break
                for _ in reader.feed(bytes(body).replace(b'index": 0', b'index": %d' % number)):
                    pass
        except LineTooLongError:
            pass
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < ALLOWED_BYTES, f"{kind.__name__} keeps {peak} bytes"
