"""The bytes of one answer over HTTP/1: its head, the framing of its body, its end.

A body without a ``Content-Length`` is sent in chunks; to a client of HTTP/1.0, up to the end of the connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from time import time
from typing import Final, Literal

from ..http.heads import header_lines

__all__ = ["Reply"]

_BODILESS: Final = frozenset({204, 304})


class Reply:
    """``to_head``: the request's method is HEAD, so no body follows; ``to_old``: the client speaks HTTP/1.0.

    ``state``: "whole" is an answer that the client knows to be complete.
    """

    def __init__(self, *, to_head: bool = False, to_old: bool = False) -> None:
        self.state: Literal["none", "begun", "whole"] = "none"
        self._has_body = not to_head
        self._is_chunked = not to_old
        self._left: int | None = None  # bytes of the body, where the head tells their number

    def head(self, status: int, headers: Sequence[tuple[bytes, bytes]], *, is_last: bool) -> bytes:
        """Return the head. ``is_last``: the connection is closed after it. Raises ValueError for what is no header."""
        self._has_body = self._has_body and status not in _BODILESS
        lengths = [value for name, value in headers if name == b"content-length"]
        self._left = int(lengths[0]) if lengths else None
        self._is_chunked = self._is_chunked and self._has_body and not lengths
        more = [(b"date", _date(int(time())))]
        if self._is_chunked:
            more.append((b"transfer-encoding", b"chunked"))
        if is_last:
            more.append((b"connection", b"close"))
        lines = header_lines([*headers, *more])
        self.state = "begun"
        return b"HTTP/1.1 %d \r\n%s\r\n" % (status, lines)

    def piece(self, data: bytes) -> bytes:
        """Return a piece of the body. Raises ValueError where it is longer than the head says."""
        if not data or not self._has_body:
            return b""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise ValueError("a body that is longer than its head says")
        return b"%x\r\n%s\r\n" % (len(data), data) if self._is_chunked else data

    def end(self) -> bytes:
        """Return the end. Raises ValueError where the body is shorter than the head says."""
        if self._left and self._has_body:
            raise ValueError("a body that is shorter than its head says")
        self.state = "whole"
        return b"0\r\n\r\n" if self._is_chunked else b""


@lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode("ascii")
