"""The lines of a head: what cannot stand in one is refused, whatever a reader would make of it."""

from __future__ import annotations

import pytest

from adapters.http.heads import header_lines, request_line
from adapters.http.members import read_object


def test_lines() -> None:
    headers = [(b"Host", b"x"), (b"a!#$%&'*+-.^_`|~9", b"one \t two \xff"), (b"empty", b"")]
    assert header_lines(headers) == b"Host: x\r\na!#$%&'*+-.^_`|~9: one \t two \xff\r\nempty: \r\n"
    assert header_lines([]) == b""


@pytest.mark.parametrize(
    "header",
    [
        *((name, b"x") for name in (b"", b"a b", b"a:", b"a\r\nb", b"\xff", b"a\x00", b" a", b"a ")),
        *(
            (b"a", value)
            for value in (b"x\r\nb: y", b"x\ny", b"x\ry", b"x\x00", b" x", b"x ", b"x\x0b", b"x\r\n", b"\r\n")
        ),
    ],
)
def test_what_is_no_header_is_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match=r"^a header whose name or value cannot be sent$"):
        header_lines([(b"Host", b"x"), header, (b"b", b"y")])


def test_the_first_line_of_a_request() -> None:
    assert request_line(b"get", b"/") == b"get / HTTP/1.1\r\n"
    assert request_line(b"POST", b"/v1/x?a=%20#!~") == b"POST /v1/x?a=%20#!~ HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *((method, b"/x") for method in (b"", b"A B", b"GET /a HTTP/1.1\r\nb:", b"G\xc9T", b"A:", b"\r\nGET")),
        *(
            (b"GET", target)
            for target in (b"", b"/a b", b"/x HTTP/1.1\r\nb: c", b"/x\n", b"/\x00", b"/\xe9", b"/x\t", b"/\x7f")
        ),
    ],
)
def test_what_is_no_first_line_is_refused(method: bytes, target: bytes) -> None:
    with pytest.raises(ValueError, match=r"^a method or target that cannot be sent$"):
        request_line(method, target)


def test_long_values_take_no_time_that_grows_faster() -> None:
    with pytest.raises(ValueError, match="a header"):
        header_lines([(b"a", b"x " * 500_000 + b"\x00")])


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (b'{"model":"a"}', [b'"a"']),
        (b' {"x":1, "model" : "a" ,"model":null}\r\n', [b'"a"', b"null"]),
        ('{"\u4e2d":"\U0001f600","model":"\u00e9","x":"\u4e2d"}'.encode(), ['"\u00e9"'.encode()]),
        (b'\xef\xbb\xbf{"mod\\u0065l":{"model":1}}', [b'{"model":1}']),
        (b'{"x":{"model":1}}', []),
        (b"{}", []),
    ],
)
def test_where_the_models_name_stands_is_told_in_bytes(body: bytes, places: list[bytes]) -> None:
    read = read_object(body)
    assert [body[start:end] for start, end in read.model_at] == places


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"a":1} x', b'{"a":1}{}', b'{"a":1,}', b"\xff", b"\xef\xbb\xbf\xef\xbb\xbf{}"]
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting|decode"):
        read_object(body)
