"""What was sent as a secret never comes back in a message, in whatever form a server repeats it.

A server may echo a credential as it was sent, percent-encoded, in base64 as a Basic header holds it, in another case, or broken by
blanks and line ends. Each form is blotted out.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote

import httpx

__all__ = ["redacted", "secrets_in_headers", "secrets_in_url"]

_BREAK: Final = r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2028\u2029\ufeff]*"
_SHORT: Final = 4
"""What is shorter than this is blotted out as a word only: else nothing of a message would be left."""
_LEAST_WORD: Final = 8
"""What is shorter than this in a header or before an ``@`` is taken for a name, not for a credential."""


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` with every form of every secret replaced by ``***``."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = _pattern(form).sub("***", text)
    return text


def secrets_in_url(url: httpx.URL) -> tuple[str, ...]:
    """The credentials in a URL's user info, and the Basic header that is made of them."""
    user, password = url.username, url.password
    if not user and not password:
        return ()
    basic = b64encode(f"{user}:{password}".encode()).decode()
    names = (user,) if not password or len(user) >= _LEAST_WORD else ()
    return tuple(filter(None, (*names, password, basic)))


def secrets_in_headers(values: Iterable[str]) -> list[str]:
    """The words of header values, but for short ones, which are no credentials."""
    return [word for value in values for word in value.split() if len(word) >= _LEAST_WORD]


def _forms(secret: str) -> set[str]:
    plain = unquote(secret)
    return {secret, plain, quote(plain, safe=""), b64encode(plain.encode("utf-8", "replace")).decode().rstrip("=")}


def _pattern(form: str) -> re.Pattern[str]:
    if len(form) < _SHORT:
        return re.compile(rf"(?<!\w){re.escape(form)}(?!\w)", re.IGNORECASE)
    return re.compile(_BREAK.join(map(re.escape, form)), re.IGNORECASE)
