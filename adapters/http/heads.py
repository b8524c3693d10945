"""Write the request lines and header lines of HTTP/1.1 messages, and refuse what a reader could take for something else.

What is passed on was validated when it was read. So one expression over all lines is enough here, instead of one for each header.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["header_lines", "request_line"]

_REQUEST: Final = re.compile(
    rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+ [!-~]+ HTTP/1\.1\r\n"  # RFC 9112, 3
)
_LINES: Final = re.compile(
    rb"(?:[-!#$%&'*+.^_`|~0-9a-zA-Z]+: (?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?\r\n)*"  # RFC 9110, 5.1 and 5.5
)


def request_line(method: bytes, target: bytes) -> bytes:
    """Return the first line of a request, with its end. Raises ValueError where the method or the target cannot stand there."""
    line = b"%s %s HTTP/1.1\r\n" % (method, target)
    if _REQUEST.fullmatch(line) is None:
        raise ValueError("a method or target that cannot be sent")
    return line


def header_lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the lines, each with its end. Raises ValueError where a name or a value cannot stand in a head."""
    lines = b"".join([b"%s: %s\r\n" % pair for pair in headers])
    # a value with a line end would make two lines of one
    if _LINES.fullmatch(lines) is None or lines.count(b"\n") != len(headers):
        raise ValueError("a header whose name or value cannot be sent")
    return lines
