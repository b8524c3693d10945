"""Opening trace files: plain, gz, xz, a tar archive of any of these, or a folder. Everything streams, and everything is bounded.

The first bytes say what a file is, not its name. A small file that unpacks to a huge one is refused: what it holds may be
``RATIO_LIMIT`` times its size, beside ``FREE_BYTES`` that every file may have.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from .fields import TraceError, opened

__all__ = ["FREE_BYTES", "LINE_LIMIT", "RATIO_LIMIT", "documents", "head", "lines", "whole"]

FREE_BYTES: Final = 64 * 2**20
RATIO_LIMIT: Final = 1000
LINE_LIMIT: Final = 16 * 2**20
"""Longest line, in bytes."""
DOCUMENT_LIMIT: Final = 256 * 2**20
"""Largest document that is read as a whole, in bytes."""

_GZIP: Final = b"\x1f\x8b"
_XZ: Final = b"\xfd7zXZ\x00"
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_AT: Final = 257


def documents(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and the unpacked stream of each file in ``path``: a folder by name, an archive in its order. Raises TraceError.

    A stream is valid until the next one is asked for.
    """
    if path.is_dir():
        for file in sorted(each for each in path.iterdir() if each.is_file()):
            yield from documents(file)
        return
    with opened(path) as packed:
        stream = _unpacked(packed, path)
        if stream.peek(_TAR_MAGIC_AT + 8)[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC):
            yield from _members(stream, path)
        else:
            yield str(path), stream


def _unpacked(packed: IO[bytes], path: Path) -> io.BufferedReader:
    magic = packed.read(len(_XZ))
    packed.seek(0)
    limit = FREE_BYTES + RATIO_LIMIT * path.stat().st_size
    if magic.startswith(_GZIP):
        inner: Any = gzip.GzipFile(fileobj=packed)
    elif magic.startswith(_XZ):
        inner = lzma.LZMAFile(packed)  # noqa: SIM115  # owns nothing but ``packed``, which the caller closes
    else:
        inner = packed
    return io.BufferedReader(_Bounded(inner, str(path), limit), 2**16)


class _Bounded(io.RawIOBase):
    """Passes on what ``inner`` has, up to ``limit`` bytes. Damage and excess are TraceErrors."""

    def __init__(self, inner: IO[bytes], name: str, limit: int) -> None:
        self._inner = inner
        self._name = name
        self._limit = limit
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        try:
            piece = self._inner.read(len(buffer))
        except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
            raise TraceError(self._name, "must be an undamaged file", str(error)) from None
        except Exception as error:  # zlib's own class is no part of its public names before Python 3.13
            raise TraceError(self._name, "must be an undamaged file", str(error)) from None
        self._left -= len(piece)
        if self._left < 0:
            raise TraceError(self._name, f"must not unpack to more than {self._limit} bytes", "more")
        buffer[: len(piece)] = piece
        return len(piece)


def _members(stream: IO[bytes], path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    archive = _archive(stream, path)
    while (member := _next_member(archive, path)) is not None:
        if member.isfile() and (content := archive.extractfile(member)) is not None:
            yield f"{path}:{member.name}", content


def _archive(stream: IO[bytes], path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r|")
    except Exception as error:
        raise _damaged(path, error) from None


def _next_member(archive: tarfile.TarFile, path: Path) -> tarfile.TarInfo | None:
    """Return the next member; None at the end. Headers are foreign: whatever the parser stumbles over is damage."""
    try:
        return archive.next()
    except TraceError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> TraceError:
    return TraceError(str(path), "must be an undamaged archive", str(error) or type(error).__name__)


def whole(stream: IO[bytes], name: str) -> bytes:
    """Read a document to its end. Raises TraceError where it is larger than ``DOCUMENT_LIMIT``, or damaged."""
    try:
        content = stream.read(DOCUMENT_LIMIT + 1)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise TraceError(name, "must be an undamaged file", str(error)) from None
    if len(content) > DOCUMENT_LIMIT:
        raise TraceError(name, f"must not be larger than {DOCUMENT_LIMIT} bytes", "more")
    return content


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each line that is not blank with its place, ``file:number``, without byte order mark and line end. Raises TraceError."""
    for name, stream in documents(path):
        number = 0
        while line := _line(stream, f"{name}:{number + 1}"):
            number += 1
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").rstrip("\r\n")
            if text.strip():
                yield f"{name}:{number}", text


def _line(stream: IO[bytes], place: str) -> bytes:
    try:
        line = stream.readline(LINE_LIMIT + 1)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise TraceError(place, "must be an undamaged file", str(error)) from None
    if len(line) > LINE_LIMIT:
        raise TraceError(place, f"must not be longer than {LINE_LIMIT} bytes", "more")
    return line


def head(path: Path, size: int = 2**16) -> tuple[str, bytes]:
    """Return the name and the first ``size`` bytes of the first document. Raises TraceError where there is none."""
    for name, stream in documents(path):
        return name, stream.read(size)
    raise TraceError(str(path), "must hold a file", "none")
