"""Read a JSON object and find where the values of its members are, in one pass: so one can be replaced, and every other byte stays."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from statemachine.foreign import ForeignJSONError, check_nesting

__all__ = ["JsonObject", "Member", "members", "model_places", "read_object"]

_BEGIN: Final = re.compile(r"\ufeff?[ \t\r\n]*\{[ \t\r\n]*")
_COLON: Final = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
_NEXT: Final = re.compile(r"[ \t\r\n]*(?:(,)[ \t\r\n]*|\})")
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


class Member(NamedTuple):
    """One member of an object. Its value stands from ``start`` to ``end`` in the text."""

    name: str
    value: Any
    start: int
    end: int


class JsonObject(NamedTuple):
    """A JSON object. ``model_at``: from which byte to which the values of its members called ``model`` are: mostly of one."""

    values: Mapping[str, Any]
    model_at: Sequence[tuple[int, int]]


def members(text: str) -> tuple[list[Member], int]:
    """Return the members of the object that ``text`` begins with, in their order, and where it ends. Raises ValueError if it is none."""
    check_nesting(text)
    found: list[Member] = []
    if (begin := _BEGIN.match(text)) is None:
        raise ForeignJSONError("not a JSON object")
    position = begin.end()
    if text[position : position + 1] == "}":
        return found, position + 1
    while True:
        if text[position : position + 1] != '"':
            raise ForeignJSONError("not JSON")
        name, position = _DECODER.raw_decode(text, position)
        if (colon := _COLON.match(text, position)) is None:
            raise ForeignJSONError("not JSON")
        value, position = _DECODER.raw_decode(text, colon.end())
        found.append(Member(name, value, colon.end(), position))
        if (following := _NEXT.match(text, position)) is None:
            raise ForeignJSONError("not JSON")
        position = following.end()
        if following[1] is None:
            return found, position


def read_object(body: bytes) -> JsonObject:
    """Return the object that ``body`` is, in UTF-8, and nothing behind it. Raises ValueError."""
    text = body.decode("utf-8")
    found, end = members(text)
    if _BLANKS.fullmatch(text, end) is None:
        raise ForeignJSONError("more than one JSON value")
    return JsonObject({member.name: member.value for member in found}, model_places(body, found))


def model_places(body: bytes, found: Sequence[Member]) -> Sequence[tuple[int, int]]:
    """Return from which byte to which of ``body`` the values of the members called ``model`` are."""
    places = [(member.start, member.end) for member in found if member.name == "model"]
    if not body.isascii():  # a character may have several bytes
        text = body.decode("utf-8", "surrogateescape")
        places = [(_bytes_before(text, start), _bytes_before(text, end)) for start, end in places]
    return places


def _bytes_before(text: str, place: int) -> int:
    return len(text[:place].encode("utf-8", "surrogateescape"))
