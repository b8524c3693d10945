"""Content encodings, undone piece by piece, so that a small body that unpacks to gigabytes is noticed before it is in memory.

Requests ask for no encoding. A server or proxy that compresses all the same is understood if it uses gzip or deflate.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from statemachine.errors import AdapterProtocolError

from .bounds import PIECE_BYTES

__all__ = ["ContentDecoder"]


class ContentDecoder:
    """Undoes the encoding that ``Content-Encoding`` names. Raises AdapterProtocolError, here and where the data is not so encoded."""

    def __init__(self, encoding: str, server: str) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise AdapterProtocolError(f"{server}: the answer has an encoding that was not asked for")
        self._encoded = name not in ("", "identity")
        self._server = server
        self._inflate = zlib.decompressobj(wbits=47)  # gzip or zlib, by its first bytes

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The decoded data of ``piece``, in pieces of at most 64 KiB."""
        if not self._encoded:
            yield piece
            return
        while piece:
            try:
                decoded = self._inflate.decompress(piece, PIECE_BYTES)
            except zlib.error:
                raise AdapterProtocolError(f"{self._server}: the answer is not encoded as its head says") from None
            piece = self._inflate.unconsumed_tail or self._inflate.unused_data
            if self._inflate.eof:  # another gzip member may follow
                self._inflate = zlib.decompressobj(wbits=47)
            if decoded:
                yield decoded
