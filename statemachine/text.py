"""Text that came from outside, made fit to be shown: in messages, logs, terminals, reports and plots.

What a server, a file or a header says may hold terminal escapes, line ends that forge a second log line, characters that turn the
writing direction or cannot be seen, halves of characters that no encoder takes, and megabytes. One function deals with all of it;
every message that shows foreign text goes through it.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["TEXT_LIMIT_CHARACTERS", "encodable", "fit_to_show"]

TEXT_LIMIT_CHARACTERS: Final = 500
_HALVES: Final = re.compile("[\ud800-\udfff]")
_BLANKS: Final = re.compile(r"\s+")


def fit_to_show(text: object, limit: int = TEXT_LIMIT_CHARACTERS) -> str:
    """Return ``text`` on one line of at most ``limit`` characters, all of them printable.

    Runs of blanks and line ends become one space. A character that cannot be printed (controls, escapes, marks that turn the
    direction, what Unicode has not assigned) is shown by its number, as Python writes it (``\\x1b``). Half a character is shown as U+FFFD.
    An ellipsis stands where text was cut off. What is no string is shown as its type.
    """
    if not isinstance(text, str):
        return f"a {type(text).__name__}"
    if len(text) <= limit and text.isprintable() and "  " not in text and text == text.strip():
        return text  # as nearly always
    words = _BLANKS.sub(" ", text[: 8 * limit]).strip()
    shown = "".join(map(_printable, encodable(words[: limit + 1])))
    if len(shown) <= limit and len(text) <= 8 * limit:
        return shown
    return shown[: limit - 1] + "\u2026"


def encodable(text: str) -> str:
    """Return ``text`` with its halves of characters (lone surrogates) joined where they stand in pairs, else replaced by U+FFFD."""
    if text.isascii() or not _HALVES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
