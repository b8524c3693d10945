"""Secrets, one for each place where one can be given, and a look through whatever came out."""

from __future__ import annotations

import logging
import pickle
import traceback
import zlib
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import pytest

from statemachine import ConfigurationError

__all__ = ["Outputs", "secret"]

_PLANTED: dict[str, str] = {}  # place -> secret


def secret(place: str) -> str:
    """The secret that is given at ``place``: a word of its own, so that a leak says where it came in."""
    return _PLANTED.setdefault(place, f"sk-{zlib.crc32(place.encode()):08x}-f00dcafe0123")


class Outputs:
    """Everything that was put out, by what put it out."""

    def __init__(self) -> None:
        self._texts: list[tuple[str, str]] = []

    def add(self, where: str, *shown: object) -> None:
        """Keep what printing and formatting of ``shown`` shows. Texts and bytes are kept as they are."""
        for each in shown:
            if isinstance(each, BaseException):
                self._texts.append((where, _told(each)))
            elif isinstance(each, bytes):
                self._texts.append((where, each.decode("latin-1")))
            else:
                self._texts.append((where, each if isinstance(each, str) else f"{each!r} {each}"))

    def add_files(self, folder: Path) -> list[str]:
        """Keep every file below ``folder``; their names."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in files:
            self.add(path.name, path.read_bytes())
        return [path.name for path in files]

    def add_log(self, log: pytest.LogCaptureFixture) -> None:
        """Keep every record, with all that it carries."""
        formatter = logging.Formatter()
        for record in log.records:
            self.add(f"log of {record.name}", formatter.format(record), str(vars(record)))

    def leaks(self) -> list[str]:
        """Where which secret was found, in any form that can be read."""
        forms = [(place, form) for place, hidden in _PLANTED.items() for form in _forms(hidden)]
        return sorted(
            {f"{where} shows {place}" for where, text in self._texts for place, form in forms if form in text}
        )

    def __contains__(self, text: str) -> bool:
        return any(text in each for _, each in self._texts)


def _told(error: BaseException) -> str:
    """An error with all it carries, as a traceback shows it, as it is pickled, and the same of those in it."""
    inner: Iterable[BaseException] = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    pickled = "" if isinstance(error, BaseExceptionGroup) else pickle.dumps(error).decode("latin-1")
    # as programs that report errors show it; what was refused, and a prompt, stand in the locals of their caller, too
    locals_too = not isinstance(error, ConfigurationError)
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=locals_too).format())
    with_locals = "\n".join(line for line in told.splitlines() if not line.lstrip().startswith("prompt = "))
    shown = f"{error!r} {error} {vars(error)} {with_locals} {pickled}"
    return " ".join([shown, *map(_told, inner)])


def _forms(hidden: str) -> set[str]:
    data = hidden.encode()
    return {hidden, quote(hidden, safe=""), data.hex(), b64encode(data).decode().rstrip("=")}
