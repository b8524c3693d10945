"""Lines, events, JSON lines and the form of a body, byte for byte: what is read, where it is split, and how much of it is taken."""

from __future__ import annotations

import pytest

from adapters.http.form import FormReader
from adapters.http.lines import LINE_LIMIT_BYTES, LineDecoder, LineTooLongError
from adapters.http.ndjson import NDJSONDecoder
from adapters.http.sse import EVENT_LIMIT_BYTES, ServerSentEvent, SSEDecoder

MARK = b"\xef\xbb\xbf"


def fed(decoder: LineDecoder | SSEDecoder | NDJSONDecoder, *pieces: bytes) -> list[object]:
    """What comes of the pieces before the end."""
    return [item for piece in pieces for item in decoder.feed(piece)]


def events(*pieces: bytes) -> list[tuple[str, str]]:
    """Names and data, to the end."""
    decoder = SSEDecoder()
    read = [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()
    return [(event.event, event.data) for event in read]


# ---- lines ----


@pytest.mark.parametrize(
    ("pieces", "lines", "rest"),
    [
        ([b"a\nb\nc"], [b"a", b"b"], b"c"),
        ([b"\na\n"], [b"", b"a"], b""),  # the first line is empty: nothing of it is dropped
        ([b"\n"], [b""], b""),
        ([b"a\r\nb\rc\n\n"], [b"a", b"b", b"c", b""], b""),
        ([b"a\r", b"\nb\n"], [b"a", b"b"], b""),
        ([b"a\r", b"\n", b"\nb\n"], [b"a", b"", b"b"], b""),  # only one line feed belongs to the return
        ([b"a\r", b"", b"\n", b"b\r", b"c\r"], [b"a", b"b", b"c"], b""),
        ([b"a\n", b"\n"], [b"a", b""], b""),
        ([b"a", b"b\nc", b"d", b"e\nf"], [b"ab", b"cde"], b"f"),
        ([b"a", b"\n"], [b"a"], b""),
        ([b"a", b"\r", b"\n"], [b"a"], b""),
        ([b"abc", b"def\n"], [b"abcdef"], b""),
        ([b"abc", b"def"], [], b"abcdef"),
        # a byte order mark is dropped at the very start, in however many pieces, and nowhere else
        ([MARK + b"a\n"], [b"a"], b""),
        ([MARK[:1], MARK[1:2], MARK[2:], b"a\n"], [b"a"], b""),
        ([MARK[:2], MARK[2:] + b"a\n" + MARK + b"b\n"], [b"a", MARK + b"b"], b""),
        ([MARK + MARK + b"a\n"], [MARK + b"a"], b""),
        ([b"a\n", MARK + b"b\n"], [b"a", MARK + b"b"], b""),
        ([b"", MARK + b"a\n"], [b"a"], b""),
        ([b"a", MARK + b"\n"], [b"a" + MARK], b""),
        ([MARK[:2] + b"x\n"], [MARK[:2] + b"x"], b""),
        ([MARK[:1], b"x\n"], [MARK[:1] + b"x"], b""),
        ([MARK], [], b""),
        ([MARK[:2]], [], MARK[:2]),
        ([b"x" + MARK[:1], MARK[1:] + b"\n"], [b"x" + MARK], b""),
    ],
)
def test_lines(pieces: list[bytes], lines: list[bytes], rest: bytes) -> None:
    decoder = LineDecoder()
    assert fed(decoder, *pieces) == lines
    assert decoder.rest == rest


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"12345\n"], [b"12345"]),
        ([b"123", b"45\n"], [b"12345"]),
        ([b"123", b"45", b"\n"], [b"12345"]),
        ([b"12345\n" * 3], [b"12345"] * 3),
        ([b"1\n22\n12345"], [b"1", b"22"]),
    ],
)
def test_a_line_may_be_as_long_as_its_bound(pieces: list[bytes], lines: list[bytes]) -> None:
    assert fed(LineDecoder(5), *pieces) == lines


@pytest.mark.parametrize(
    "pieces",
    [[b"123456\n"], [b"123", b"456"], [b"12345", b"6"], [b"1\n123456\n1\n"], [b"1\n1\n123456"], [b"123", b"456\n1"]],
)
def test_a_line_may_not_be_longer_than_its_bound(pieces: list[bytes]) -> None:
    for decoder in (LineDecoder(5), SSEDecoder(line_limit=5), NDJSONDecoder(line_limit=5)):
        with pytest.raises(LineTooLongError, match=r"^a line of more than 5 bytes$"):
            fed(decoder, *pieces)


def test_the_bounds_of_lines_and_events() -> None:
    assert (LINE_LIMIT_BYTES, EVENT_LIMIT_BYTES) == (4_194_304, 8_388_608)


def test_a_line_of_four_megabytes() -> None:
    longest = b"x" * LINE_LIMIT_BYTES
    for decoder in (LineDecoder(), SSEDecoder(), NDJSONDecoder()):
        assert fed(decoder, longest) == []
        with pytest.raises(LineTooLongError, match="more than 4194304 bytes"):
            decoder.feed(b"x")


# ---- server-sent events ----


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        # what stands after a comment in the same piece is read: no event is lost
        (b": ping\n\ndata: a\n\n", [("message", "a")]),
        (b": ping\r\n\r\ndata: a\r\n\r\n: ping\r\n\r\ndata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
        (b":\ndata: a\n:\ndata: b\n\n", [("message", "a\nb")]),
        (b"\n\n: a\n: b\n\n\nid: 1\n\nretry: 2\n\ndata: a\n\n", [("message", "a")]),
        (b"unknown: x\n\nwithout colon\n\ndata: a\n\n", [("message", "a")]),
        # one blank after the colon belongs to the frame, the others to the data
        (b"data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n", [("message", t) for t in ("a", "a", " a", "\ta")]),
        (b"data:\n\n", [("message", "")]),
        (b"data: \n\n", [("message", "")]),
        (b"data\n\n", [("message", "")]),
        (b"data\ndata: a\n\n", [("message", "\na")]),
        (b"data: a\ndata:\ndata: b\ndata\n\n", [("message", "a\n\nb\n")]),
        (b"data: a:b: c\n\n", [("message", "a:b: c")]),
        (b"datax: a\n\nDATA: a\n\n", []),
        # indented by something in between; what is indented and no data is nothing
        (b"  data: a\n\n", [("message", "a")]),
        (b"\tdata:a\n\n", [("message", "a")]),
        (b" \t data: a\n  data: b\n\n", [("message", "a\nb")]),
        (b"  event: x\n\n", []),
        (b"  data\n\n", []),
        # names
        (b"event: a\ndata: b\n\ndata: c\n\n", [("a", "b"), ("message", "c")]),
        (b"event:a\n\n", [("a", "")]),
        (b"event:  a \n\n", [(" a ", "")]),
        (b"event: a:b\n\n", [("a:b", "")]),
        (b"event: a\nevent: b\ndata: c\n\n", [("b", "c")]),
        (b"event:\ndata: a\n\n", [("message", "a")]),
        (b"event\n\n", []),
        (b"event: " + b"e" * 101 + b"\n\n", [("e" * 100, "")]),
        (b"event: \xff\ndata: \xfe\n\n", [("\ufffd", "\ufffd")]),
        # a line that is a bare JSON object is data
        (b'{"error": "x"}\n\n', [("message", '{"error": "x"}')]),
        (b'event: error\n{"error": "x"}\n\n', [("error", '{"error": "x"}')]),
        (b'data: a\n{"b": 1}\n\n', [("message", 'a\n{"b": 1}')]),
        (b"{error: 1}\n\n", []),
        (b'{ "a": 1}\n\n', []),
        # the end of the stream
        (b"data: a", []),
        (b"data: a\n", [("message", "a")]),
        (b"data: a\ndata: b", [("message", "a")]),
        (b"event: error", []),
        (b"event: error\n", [("error", "")]),
        (b"data: [DONE]", [("message", "[DONE]")]),
        (b"data:[DONE]", [("message", "[DONE]")]),
        (b"data:  [DONE] ", [("message", " [DONE] ")]),
        (b"data: [DONE", []),
        (b"event: [DONE]", []),
        (b"event: x\ndata: [DONE]", [("x", "[DONE]")]),
        (b'data: {"a": 1}', [("message", '{"a": 1}')]),
        (b'data: {"a": 1', []),
        (b"data: [1]", [("message", "[1]")]),
        (b"data: 7", []),  # of a longer number, perhaps
        (b'data: "a"', []),
        (b'{"a": 1}', [("message", '{"a": 1}')]),
        (b'{"a": 1', []),
        (b'event: x\n{"a": [1]}', [("x", '{"a": [1]}')]),
        (b'other: {"a": 1}', []),
        (b"data", []),
    ],
)
def test_events(stream: bytes, expected: list[tuple[str, str]]) -> None:
    assert events(stream) == expected
    assert events(*(bytes([byte]) for byte in stream)) == expected


def test_an_event_comes_with_its_blank_line_and_nothing_is_told_twice() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == [ServerSentEvent("message", "a")]
    assert decoder.feed(b"event: e\ndata: [1]") == []
    assert decoder.finish() == [ServerSentEvent("e", "[1]")]
    assert decoder.finish() == []


def test_an_event_may_be_as_long_as_its_bound() -> None:
    for stream in (b"data: 12345\n\n", b"data: 12\ndata: 45\n\n", b"data: 12\ndata: 45\n\ndata: 12345\n\n"):
        assert fed(SSEDecoder(event_limit=5), stream)
    for stream in (b"data: 123456\n\n", b"data: 12\ndata: 456\n\n", b'{"a":1}\n\n'):
        with pytest.raises(LineTooLongError, match=r"^an event of more than 5 bytes$"):
            fed(SSEDecoder(event_limit=5), stream)


# ---- JSON lines ----


@pytest.mark.parametrize(
    ("pieces", "values", "last"),
    [
        ([b'{"a": 1}\n[2]\n3\n"x"\nnull\n'], [{"a": 1}, [2], 3, "x", None], []),
        ([b'{"a":', b" 1}\r", b"\n[2]\n"], [{"a": 1}, [2]], []),
        ([b"\n \n\t\r\n{}\n"], [{}], []),
        ([b"no JSON\n{}\n"], ["no JSON", {}], []),
        ([b"\xff\n"], ["\ufffd"], []),
        ([b'{"a": 1}\n{"b": 2}'], [{"a": 1}], [{"b": 2}]),
        ([b"[1, 2]"], [], [[1, 2]]),
        ([b'{"b": '], [], []),
        ([b"7"], [], []),
        ([b'"x"'], [], []),
        ([b"x"], [], []),
        ([b"  "], [], []),
        ([b""], [], []),
    ],
)
def test_json_lines(pieces: list[bytes], values: list[object], last: list[object]) -> None:
    decoder = NDJSONDecoder()
    assert fed(decoder, *pieces) == values
    assert decoder.finish() == last
    assert decoder.finish() == []


# ---- the form ----


def formed(*pieces: bytes) -> tuple[str | None, bytes]:
    """The form of a body, and all of it that is handed on."""
    reader = FormReader()
    read = b"".join(map(reader.feed, pieces))
    form = reader.finish()
    assert reader.form == form
    return form, read


@pytest.mark.parametrize("name", [b"data", b"event", b"id", b"retry"])
@pytest.mark.parametrize("after", [b":", b": x\n\n", b" : x", b"\t:x", b"\n", b"\r\n", b" \n", b"\r"])
def test_a_body_that_begins_with_a_field_is_an_event_stream(name: bytes, after: bytes) -> None:
    reader = FormReader()
    assert reader.feed(name + after) == name + after
    assert reader.form == "events"
    assert reader.feed(b"more") == b"more"
    assert reader.finish() == "events"
    assert formed(*(bytes([byte]) for byte in name + after)) == ("events", name + after)


@pytest.mark.parametrize(
    ("body", "form", "read"),
    [
        (b": ping\n\n", "events", b": ping\n\n"),
        (b"  \r\n\t: ping", "events", b": ping"),
        (MARK + b" \n data: x", "events", b"data: x"),
        (b"{}", "whole", b"{}"),
        (b" [1]", "whole", b"[1]"),
        (b"<html>", "whole", b"<html>"),
        (b"7", "whole", b"7"),
        (b"dat", "events", b""),
        (b"data", "events", b""),
        (b"data ", "events", b""),
        (b"e", "events", b""),
        (b"i", "events", b""),
        (b"retr", "events", b""),
        (b"database", "whole", b""),
        (b"ids", "whole", b""),
        (b"rx", "whole", b""),
        (b"entirely else", "whole", b""),
        (b"", None, b""),
        (b"  \n", None, b""),
        (MARK, None, b""),
    ],
)
def test_the_form_of_a_body(body: bytes, form: str | None, read: bytes) -> None:
    assert formed(body) == (form, read)
    assert formed(*(bytes([byte]) for byte in body)) == (form, read)


def test_the_form_is_known_as_soon_as_it_can_be() -> None:
    for first in (b"{", b"[", b'"', b"<", b"7", b"t", b"n"):
        reader = FormReader()
        assert (reader.feed(first), reader.form) == (first, "whole")
        assert reader.feed(b"data: x") == b"data: x"
    reader = FormReader()
    assert (reader.feed(b"d" * 31), reader.form) == (b"", None)
    assert (reader.feed(b"d"), reader.form) == (b"d" * 32, "whole")
