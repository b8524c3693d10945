"""What was sent as a secret never comes back in a message, in whatever form a server repeats it.

A server may echo a credential as it was sent, in hexadecimal, in base64 (alone, or within a longer text, as a Basic header holds it), in
another case, broken by blanks, line ends and marks that cannot be seen, or with any of its characters written by number, as URLs, HTML
and JSON do. Each form is blotted out. And an error leaves this package without the frames that it has passed here.
"""

from __future__ import annotations

import re
from base64 import b32encode, b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, unquote

from statemachine.errors import AdapterError

from .library import httpx

__all__ = ["redacted", "secrets_in_headers", "secrets_in_url", "without_frames"]

_BREAK: Final = (
    r"[\s\x00-\x20\x7f-\xa0\xad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]*"
)
_SHORT: Final = 4
"""What is shorter than this is blotted out as a word only: else nothing of a message would be left."""
_LONGEST: Final = 64 * 1024
_URL_SAFE: Final = str.maketrans("+/", "-_")
_LEAST_WORD: Final = 8
"""What is shorter than this in a header or before an ``@`` is taken for a name, not for a credential."""


def without_frames(error: AdapterError) -> AdapterError:
    """Take the traceback from ``error``: programs that report errors show the locals of its frames, and in these stand headers and
    answers as they are."""
    return error.with_traceback(None)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return the beginning of ``text``, longer than what is ever shown, with every form of every secret replaced by ``***``."""
    text = text[:_LONGEST]
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = _pattern(form).sub("***", text)
    return text


def secrets_in_url(url: httpx.URL) -> tuple[str, ...]:
    """Return the credentials in a URL's user info, and the Basic header that is made of them."""
    user, password = url.username, url.password
    if not user and not password:
        return ()
    basic = b64encode(f"{user}:{password}".encode()).decode()
    names = (user,) if not password or len(user) >= _LEAST_WORD else ()
    return tuple(filter(None, (*names, password, basic)))


def secrets_in_headers(values: Iterable[str]) -> list[str]:
    """Return the words of header values, but for short ones, which are no credentials."""
    return [word for value in values for word in value.split() if len(word) >= _LEAST_WORD]


def _forms(secret: str) -> set[str]:
    plain = unquote(secret)
    data = plain.encode()
    alone = b64encode(data).decode().rstrip("=")
    forms = {secret, plain, quote(plain, safe=""), alone, alone.translate(_URL_SAFE)}
    if len(data) >= _LEAST_WORD:
        forms |= {data.hex(), b32encode(data).decode().rstrip("="), *_base64_parts(data)}
    return forms


def _base64_parts(data: bytes) -> Iterator[str]:
    """Yield what base64 has for ``data`` wherever it stands in a longer text: only the characters at the seams depend on the rest."""
    for before in range(3):
        text = b64encode(bytes(before) + data).decode()
        whole = (before + len(data)) // 3 * 4
        part = text[(0, 2, 3)[before] : whole]
        yield part
        yield part.translate(_URL_SAFE)


def _pattern(form: str) -> re.Pattern[str]:
    if len(form) < _SHORT:
        return re.compile(rf"(?<!\w){re.escape(form)}(?!\w)", re.IGNORECASE)
    return re.compile(_BREAK.join(map(_character, form)), re.IGNORECASE)


def _character(character: str) -> str:
    """Return a pattern of the ways to write a character: as it is, by its number, or by its bytes."""
    number = f"{ord(character):02x}"
    code = rf"&#x0{{0,4}}{number};?|&#0{{0,4}}{ord(character)};?|\\{{1,4}}(?:u0{{0,4}}|x){number}|{_percent(ord(character))}"
    encoded = "" if character.isascii() else "|" + "".join(map(_percent, character.encode()))
    return rf"(?:\\?{re.escape(character)}|{code}{encoded})"


def _percent(number: int) -> str:
    """Return a pattern of a byte in a URL, which may have been quoted several times."""
    return f"%(?:25){{0,4}}{number:02x}"
