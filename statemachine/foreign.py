"""JSON that came from outside: read within bounds, and refused by one typed error whatever is wrong with it.

``json.loads`` alone raises RecursionError for a few thousand brackets, spends time that grows with the square of a number's digits, and
takes NaN and infinities, which no JSON has. Here the depth is counted before anything is built; a number that is longer than the bound is
refused; what is no finite number is None, as nothing else can be made of it. Controls within texts are taken as they are.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any, Final

__all__ = ["DIGITS_LIMIT", "NESTING_LIMIT", "ForeignJSONError", "check_nesting", "read_json"]

NESTING_LIMIT: Final = 128
DIGITS_LIMIT: Final = 400

_NESTING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


class ForeignJSONError(ValueError):
    """The text is no JSON, or is nested deeper or has longer numbers than is allowed. The message never shows the text."""


def read_json(data: bytes | bytearray | str, *, nesting: int = NESTING_LIMIT, digits: int = DIGITS_LIMIT) -> Any:
    """Return the value that ``data`` holds. Raises ForeignJSONError, and nothing else.

    Bytes are UTF-8, with or without a byte order mark (or UTF-16 and UTF-32, as RFC 4627 allowed); what cannot be decoded becomes U+FFFD.
    ``nesting`` bounds the depth of lists and objects, ``digits`` the characters of one number.
    """
    text = data if isinstance(data, str) else _decoded(bytes(data))
    text = text.removeprefix("\ufeff")
    check_nesting(text, nesting)
    try:
        return _decoder(digits).decode(text)
    except ForeignJSONError:
        raise
    except ValueError:
        raise ForeignJSONError("not JSON") from None


def check_nesting(text: str, nesting: int = NESTING_LIMIT) -> None:
    """Refuse JSON text whose lists and objects are nested deeper than ``nesting``. Raises ForeignJSONError."""
    if text.count("[") + text.count("{") <= nesting:
        return
    depth = 0
    for match in _NESTING.finditer(text):
        token = match[0]
        if token in ("[", "{"):
            depth += 1
            if depth > nesting:
                raise ForeignJSONError(f"nested deeper than {nesting} levels")
        elif token in ("]", "}"):
            depth -= 1


def _decoded(data: bytes) -> str:
    return data.decode(json.detect_encoding(data), "replace")


@cache
def _decoder(digits: int) -> json.JSONDecoder:
    def bounded(text: str) -> str:
        if len(text) > digits:
            raise ForeignJSONError(f"a number of more than {digits} characters")
        return text

    def fraction(text: str) -> float | None:
        value = float(bounded(text))
        return value if math.isfinite(value) else None

    return json.JSONDecoder(
        parse_int=lambda text: int(bounded(text)),
        parse_float=fraction,
        parse_constant=lambda _: None,
        strict=False,  # line ends and other controls in a text, which some servers do not write by their numbers
    )
