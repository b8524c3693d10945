"""The text of an answer, in every shape that servers give it: a string, a list of parts, reasoning under several names.

A number is no text: how the model wrote it (``007``, ``1.50``) can no longer be told.

Also characters that were split over two pieces: half of one is held back and joined with the other half; without it, it becomes U+FFFD.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from statemachine.text import encodable

from .nothing import is_empty

__all__ = ["Kind", "TextJoiner", "UnreadableError", "parts_of"]

Kind: TypeAlias = Literal["token", "reasoning"]

_TEXT_NAMES: Final = ("text", "content", "refusal", "output_text", "value")
_REASONING_NAMES: Final = ("thinking", "reasoning", "reasoning_content", "summary")
_WITHOUT_TEXT: Final = frozenset({"citation", "reference", "signature"})
"""Types of parts that belong to an answer's text, and have none of their own."""
_DEPTH: Final = 4


class UnreadableError(ValueError):
    """There is something where text is expected, and it is in no shape that is known."""


def parts_of(content: object, kind: Kind, depth: int = _DEPTH) -> Iterator[tuple[Kind, str]]:
    """Yield the pieces of text in ``content``. Parts that say so are reasoning. Raises UnreadableError."""
    if isinstance(content, str):
        if content:
            yield kind, content
    elif isinstance(content, list) and depth:
        for part in content:
            yield from parts_of(part, kind, depth - 1)
    elif isinstance(content, Mapping) and content and depth:
        yield from _part(content, kind, depth - 1)
    elif not is_empty(content):
        raise UnreadableError(f"text that is a {type(content).__name__}")


def _part(part: Mapping[str, Any], kind: Kind, depth: int) -> Iterator[tuple[Kind, str]]:
    label = str(part.get("type")).lower()
    is_reasoning = "thinking" in label or "reasoning" in label  # which may be encrypted, or a signature only
    if is_reasoning:
        kind = "reasoning"
    for name in _REASONING_NAMES:
        if not is_empty(part.get(name)):
            yield from parts_of(part[name], "reasoning", depth)
            return
    for name in _TEXT_NAMES:
        if not is_empty(part.get(name)):
            yield from parts_of(part[name], kind, depth)
            return
    if not (is_reasoning or label in _WITHOUT_TEXT or any(name in part for name in (*_TEXT_NAMES, *_REASONING_NAMES))):
        raise UnreadableError("a part of an answer without text")


class TextJoiner:
    """Joins the halves of characters (surrogates) over the pieces of one text."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Return what can be shown by now; empty while there is but half a character."""
        if not self._half and text.isascii():
            return text
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return encodable(text)

    def finish(self) -> str:
        """Return what is left at the end: U+FFFD for half a character."""
        return encodable(self._half)
