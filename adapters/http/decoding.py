"""Content encodings, undone piece by piece, so that a small body that unpacks to gigabytes is noticed before it is in memory.

Requests ask for no encoding. A server or proxy that compresses all the same is understood if it uses gzip or deflate. The first bytes
decide before the label: gzip is known by them, and plain data that is labelled as gzip, or as what is no encoding (``utf-8``), is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Final

from statemachine.errors import AdapterProtocolError

from .bounds import PIECE_BYTES

__all__ = ["ContentDecoder"]

_GZIP: Final = b"\x1f\x8b"
_ANY_HEADER, _NO_HEADER = 47, -15  # for zlib: gzip or zlib by the first bytes; deflate alone
_UNKNOWN: Final = frozenset({"br", "compress", "x-compress", "dcb", "dcz", "lzma", "xz", "zstd"})


class ContentDecoder:
    """Undoes the encoding that ``Content-Encoding`` names. Raises AdapterProtocolError, here and where the data is not so encoded."""

    def __init__(self, encoding: str, server: str) -> None:
        self._names = {name.strip() for name in encoding.lower().split(",")}
        if self._names & _UNKNOWN:
            raise AdapterProtocolError(f"{server}: the answer has an encoding that was not asked for")
        self._server = server
        self._start: bytes | None = b""  # until there is enough of it to tell how it is encoded
        self._wbits: int | None = None
        self._inflate: Any = None  # zlib's object for that, whose type has no public name

    @property
    def is_plain(self) -> bool:
        """Whether the data is known to have no encoding."""
        return self._start is None and self._wbits is None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the decoded data of ``piece``, in pieces of at most 64 KiB."""
        if self._start is not None:
            piece = self._start = self._start + piece
            if piece == _GZIP[:1] or (len(piece) < len(_GZIP) and "deflate" in self._names):
                return
            self._start, self._wbits = None, self._encoding(piece)
            if self._wbits is not None:
                self._inflate = zlib.decompressobj(wbits=self._wbits)
        if self._wbits is None:
            yield piece
            return
        while piece:
            try:
                decoded = self._inflate.decompress(piece, PIECE_BYTES)
            except zlib.error:
                raise AdapterProtocolError(f"{self._server}: the answer is not encoded as its head says") from None
            piece = self._inflate.unconsumed_tail or self._inflate.unused_data
            if self._inflate.eof:  # another gzip member may follow
                self._inflate = zlib.decompressobj(wbits=self._wbits)
            if decoded:
                yield decoded

    def _encoding(self, start: bytes) -> int | None:
        """Return how data that starts so is encoded, as zlib's ``wbits``; None: it is not."""
        if start.startswith(_GZIP):
            return _ANY_HEADER
        if "deflate" not in self._names:
            return None
        has_header = start[0] & 0x0F == zlib.DEFLATED and int.from_bytes(start[:2]) % 31 == 0
        return _ANY_HEADER if has_header else _NO_HEADER
