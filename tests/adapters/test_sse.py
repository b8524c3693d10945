"""Server-sent events, however they are split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http.lines import LINE_LIMIT_BYTES, LineTooLongError
from adapters.http.sse import ServerSentEvent, SSEDecoder


def decode(*pieces: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()


def message(data: str) -> ServerSentEvent:
    return ServerSentEvent("message", data)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [message("a"), message("b")]),
        (b"data:a\r\n\r\ndata:  b\r\rdata: c\n\n", [message("a"), message(" b"), message("c")]),
        (b"data: a\ndata: b\n\n", [message("a\nb")]),
        (b": ping\n\nid: 7\nretry: 9\n\n:\n\n", []),
        (b"event: error\ndata: x\n\ndata: y\n\n", [ServerSentEvent("error", "x"), message("y")]),
        (b"event: error\n\n", [ServerSentEvent("error", "")]),
        (b"data\n\n", [message("")]),
        (b"\n\n\n", []),
        (b"data: no blank line\n", [message("no blank line")]),
        (b"data: whole\n\ndata: cut o", [message("whole")]),
        (
            "data: \u2028 is no line's end, \x85 neither\n\n".encode(),
            [message("\u2028 is no line's end, \x85 neither")],
        ),
        (b"data: \xff\n\n", [message("\ufffd")]),
    ],
)
def test_event_streams(stream: bytes, events: list[ServerSentEvent]) -> None:
    assert decode(stream) == events


@given(st.lists(st.integers(0, 90)))
def test_where_a_stream_is_split_makes_no_difference(places: list[int]) -> None:
    stream = 'event: e\r\ndata: {"a": "\u00e9\u4e2d"}\r\n\r\n: ping\rdata: x\ndata:y\r\rdata: [DONE]\n\n'.encode()
    cuts = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(cuts)]
    assert decode(*pieces) == decode(stream)
    assert len(decode(stream)) == 3


def test_a_line_end_may_be_split_by_nothing() -> None:
    assert decode(b"data: a\r", b"", b"\ndata: b\r", b"\n\r", b"\n") == [message("a\nb")]


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    decoder = SSEDecoder()
    half = b"x" * (LINE_LIMIT_BYTES // 2)
    assert decoder.feed(half) == decoder.feed(half) == []
    with pytest.raises(LineTooLongError):
        decoder.feed(b"x")
