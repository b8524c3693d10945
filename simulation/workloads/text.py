"""Foreign text made fit to show: names and messages that come from files, servers and command lines."""

from __future__ import annotations

from typing import Final

__all__ = ["TEXT_LIMIT", "fit_to_show"]

TEXT_LIMIT: Final = 500
"""Longest text that is shown, in characters; the rest is cut."""


def fit_to_show(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return ``text`` on one line, with characters that a terminal would obey or can't encode written as escapes."""
    shown = "".join(_escaped(character) for character in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
