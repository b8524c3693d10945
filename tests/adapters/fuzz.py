"""A grammar of answers, right and wrong ones, and what must come of each: a fuzzer of the wire.

``python -m tests.adapters.fuzz --inputs 1000000`` runs it for long (``make fuzz``); a slice is part of the tests.

The grammar writes a transcript of frames whose meaning is known, and from it what a reader must say: which text, and how the answer closes.
Then the bytes are split anywhere. What must hold: one closing event, the last; nothing but typed errors; an answer that ends well has
all of its text, and one that cannot be read does not end well. A second part damages the bytes anywhere: there only the first two can hold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from adapters.http import Bounds, ChatReader, HttpClient, HttpRequest, LineTooLongError
from adapters.http.responses import ResponsesReader
from statemachine import AdapterConnectError, AdapterError, StreamEvent, ToolCall
from statemachine.text import encodable

_HTTP: Final = HttpClient(
    "http://host", bounds=Bounds(max_line_bytes=4096, max_event_bytes=8192, max_body_bytes=16_384)
)
_REQUEST: Final = HttpRequest("/v1/chat/completions", {}, {})


@dataclass(frozen=True)
class Frame:
    """One frame: its bytes, the text it adds, and what it does: nothing, "finish", "done", "error", or "spoil" (no good end any more)."""

    wire: bytes
    text: str = ""
    does: str = ""


def data(payload: object, *, ascii_only: bool = True) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=ascii_only).encode("utf-8", "replace") + b"\n\n"


def chunk(delta: object, reason: object = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


_texts = st.text(st.characters(codec="utf-8") | st.sampled_from("\ud83d\ude00\x00\u2028\x85"), max_size=8)
_nothing: st.SearchStrategy[Any] = st.sampled_from([None, "", "null", "None", False, 0, [], {}])
_ignored = st.sampled_from(
    [
        b": ping\n\n",
        b"\n",
        b"data: null\n\n",
        b"data:\n\n",
        b"data: : x\n\n",
        b"id: 7\n\n",
        b"retry: 9\n\n",
        b"data: {}\n\n",
    ]
)
_nonsense = st.sampled_from(
    [b"data: {\n\n", b"data: 7\n\n", b'data: "x"\n\n', b"data: [1]\n\n", b"data: " + b"[" * 999 + b"\n\n"]
)
_unreadable = st.sampled_from(
    [{"content": 7}, {"content": [{"type": "image"}]}, {"reasoning": 1.5}, {"tool_calls": "x"}]
)
_errors = st.sampled_from(
    [{"error": "no"}, {"error": {"code": 429}}, {"choices": [], "error": {"message": "x", "code": 502}}]
)
_shapes: Final[Sequence[Callable[[str], object]]] = (
    lambda text: {"content": text},
    lambda text: {"content": [{"type": "text", "text": text}]},
    lambda text: {"content": {"text": text}},
    lambda text: {"role": "assistant", "content": text, "unknown": {"a": [1]}},
)


def _said(text: str, shape: Callable[[str], object], nothing: object) -> Frame:
    return Frame(data(chunk(shape(text), nothing)), text)


def _said_raw(text: str) -> Frame:
    """Text that is not escaped: what UTF-8 cannot hold becomes a question mark, which is the sender's fault."""
    sent = text.encode("utf-8", "replace").decode()
    return Frame(data(chunk({"content": sent}, error=None, usage={"a": 1}), ascii_only=False), sent)


_frames = st.one_of(
    st.builds(_said, _texts, st.sampled_from(_shapes), _nothing),
    st.builds(_said_raw, st.text(max_size=8)),
    st.builds(Frame, _ignored),
    st.builds(lambda odd: Frame(odd, does="nonsense"), _nonsense),
    st.builds(lambda delta: Frame(data(chunk(delta)), does="spoil"), _unreadable),
    st.builds(lambda error: Frame(data(error), does="error"), _errors),
    st.builds(lambda reason: Frame(data(chunk({}, reason)), does="finish"), st.sampled_from(["stop", "length"])),
    st.just(Frame(b"data: [DONE]\n\n", does="done")),
)
transcripts = st.tuples(st.lists(_frames, max_size=8), st.sampled_from([b"", b"\xef\xbb\xbf", b"\n"]), st.booleans())
cuts_of_bodies = st.lists(st.integers(0, 2000), max_size=12)


def expected(frames: Sequence[Frame], proper: bool) -> tuple[str, str]:
    """The text that must be read, and how the answer closes: "end" or "error"."""
    text, finished, spoiled, answered = "", False, False, False
    for frame in frames:
        text += frame.text
        answered = answered or bool(frame.text)
        finished = finished or frame.does == "finish"
        spoiled = spoiled or frame.does == "spoil"
        if frame.does == "done":
            return text, "end" if (finished or answered) and not spoiled else "error"
        if frame.does == "error" or (frame.does == "nonsense" and not finished):
            return text, "error"
    return text, "end" if finished and not spoiled else "error"


def read(reader: ChatReader | ResponsesReader, pieces: Sequence[bytes], proper: bool) -> list[StreamEvent]:
    """What a reader makes of the pieces; checked for what must always hold."""
    events = list(_events(reader, pieces, proper))
    assert [event.type in ("end", "error") for event in events] == [False] * (len(events) - 1) + [True]
    assert reader.closed
    for event in events:
        assert isinstance(event.data, AdapterError) == (event.type == "error")
        if isinstance(event.data, str):
            event.data.encode()
        elif isinstance(event.data, ToolCall):
            event.data.arguments.encode()
        elif isinstance(event.data, AdapterError):
            assert str(event.data).isprintable()
            assert len(str(event.data)) < 1000
        else:
            json.dumps(event.data, ensure_ascii=False).encode()
    return events


def _events(reader: ChatReader | ResponsesReader, pieces: Sequence[bytes], proper: bool) -> Iterator[StreamEvent]:
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
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(places)]


def texts(events: Sequence[StreamEvent]) -> str:
    return "".join(str(event.data) for event in events if event.type == "token")


def check_transcript(transcript: tuple[list[Frame], bytes, bool], cuts: list[int]) -> None:
    """What is known of a transcript comes out, however it is split."""
    frames, start, proper = transcript
    text, closing = expected(frames, proper)
    for pieces in (
        [start + b"".join(frame.wire for frame in frames)],
        split(start + b"".join(f.wire for f in frames), cuts),
    ):
        events = read(ChatReader(_HTTP, _REQUEST), pieces, proper)
        assert events[-1].type == closing
        assert texts(events) == encodable(text)


def check_damage(transcript: tuple[list[Frame], bytes, bool], cuts: list[int], damage: list[tuple[int, bytes]]) -> None:
    """Bytes that were changed anywhere, and bytes at random: one typed end, whatever they are."""
    frames, start, proper = transcript
    body = bytearray(start + b"".join(frame.wire for frame in frames))
    for place, piece in damage:
        at = place % (len(body) + 1)
        body[at : at + place % 5] = piece
    for kind in (ChatReader, ResponsesReader):
        read(kind(_HTTP, _REQUEST), split(bytes(body), cuts), proper)


_pieces = st.binary(max_size=12) | st.sampled_from([b"\n", b"data:", b"{", b'"', b"[" * 200])
damages = st.lists(st.tuples(st.integers(0, 5000), _pieces), max_size=6)


def run(inputs: int, start: int) -> None:
    """This many inputs of each check, in rounds with seeds of their own. Raises AssertionError, with the shortest example, at a finding."""
    rounds, done = settings(max_examples=5000, deadline=None, database=None, suppress_health_check=list(HealthCheck)), 0
    while done < inputs:
        for check in (
            given(transcripts, cuts_of_bodies)(check_transcript),
            given(transcripts, cuts_of_bodies, damages)(check_damage),
        ):
            seed(start + done)(rounds(check))()
        done += 5000
        print(f"{done} inputs of each kind, without a finding", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the readers of answers.")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many, in all")
    parser.add_argument("--seed", type=int, default=0)
    given_options = parser.parse_args()
    run(given_options.inputs // 2, given_options.seed)


if __name__ == "__main__":
    main()
