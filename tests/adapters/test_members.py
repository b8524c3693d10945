"""Where the values of a JSON object's members are, byte for byte, and what is no object."""

from __future__ import annotations

import pytest

from adapters.http.members import JsonObject, read_object
from statemachine.foreign import ForeignJSONError


@pytest.mark.parametrize(
    ("body", "values", "model_at"),
    [
        (b"{}", {}, []),
        (b" { } ", {}, []),
        (b'\xef\xbb\xbf{"a": [1, "x"]}', {"a": [1, "x"]}, []),
        (b'{"model":"x"}', {"model": "x"}, [(9, 12)]),
        (b'{ "a" : 1.5 ,\n"model" : null } \r\n', {"a": 1.5, "model": None}, [(24, 28)]),
        (b'{"model": 1, "b": {"model": 2}, "model": "x"}', {"model": "x", "b": {"model": 2}}, [(10, 11), (41, 44)]),
        (
            '{"\u00e9": "\u20ac", "model": "\U0001f600"}'.encode(),
            {"\u00e9": "\u20ac", "model": "\U0001f600"},
            [(23, 29)],
        ),
    ],
)
def test_an_object_and_where_its_model_is(
    body: bytes, values: dict[str, object], model_at: list[tuple[int, int]]
) -> None:
    assert read_object(body) == JsonObject(values, model_at)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b'"{"', "not a JSON object"),
        (b"{", "not JSON"),
        (b"{a", "not JSON"),
        (b"{1: 2}", "not JSON"),
        (b'{"a"}', "not JSON"),
        (b'{"a", "b"}', "not JSON"),
        (b'{"a": 1 "b": 2}', "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"{}x", "more than one JSON value"),
        (b'{"a": 1}{}', "more than one JSON value"),
    ],
)
def test_what_is_no_object(body: bytes, rule: str) -> None:
    with pytest.raises(ForeignJSONError, match=f"^{rule}$"):
        read_object(body)
    with pytest.raises(UnicodeDecodeError):
        read_object(b"\xff" + body)
