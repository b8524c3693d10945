"""Count the tokens of an answer that passes by: what the server says of them, in any dialect, else an estimate. No text is kept.

A server that streams to a client of OpenAI's chats says how many tokens there were only if the client asks for it. Else each event counts
as one token, and a prompt as one token for four bytes of the request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from statemachine.foreign import ForeignJSONError, read_json

__all__ = ["TokenMeter", "Tokens"]

WHOLE_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""An answer that is no stream, and a line of one, is read up to this length; a longer one is estimated."""
BYTES_PER_TOKEN: Final = 4
TOKENS_LIMIT: Final = 10_000_000
_PROMPT: Final = ("prompt_tokens", "input_tokens", "prompt_eval_count")
_OUTPUT: Final = ("completion_tokens", "output_tokens", "total_output_tokens", "eval_count")
_CACHED: Final = ("cached_tokens", "cache_read_input_tokens")
_PLACES: Final = ("usage", "stats", "message", "response", "result", "prompt_tokens_details", "input_tokens_details")
_SIGNS: Final = tuple(f'"{name}"'.encode() for name in (*_PROMPT, *_OUTPUT))


@dataclass(frozen=True, slots=True)
class Tokens:
    """``prompt`` includes ``cached``, those that the server had in its prompt cache. ``estimated``: not all was told."""

    prompt: int
    output: int
    cached: int = 0
    estimated: bool = False


class TokenMeter:
    """Is fed with the pieces of one answer. ``request_bytes`` is the length of the request's body."""

    def __init__(self, request_bytes: int) -> None:
        self._request_bytes = request_bytes
        self._line = bytearray()  # that is not at its end yet
        self._events = 0
        self._told: dict[str, int] = {}

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        *lines, rest = piece.split(b"\n")
        for line in lines:
            self._take(bytes(self._line) + line)
            self._line.clear()
        if len(self._line) + len(rest) <= WHOLE_LIMIT_BYTES:
            self._line += rest

    def tokens(self) -> Tokens:
        """Return the counts, at the end of the answer."""
        self._take(bytes(self._line))
        self._line.clear()
        told = self._told
        prompt = _first(told, _PROMPT)
        output = _first(told, _OUTPUT)
        cached = _first(told, _CACHED) or 0
        if prompt is not None and "cache_read_input_tokens" in told:  # Anthropic does not count them among the input
            prompt += cached
        estimated = prompt is None or output is None
        if prompt is None:
            prompt = self._request_bytes // BYTES_PER_TOKEN
        return Tokens(prompt, self._events if output is None else output, min(cached, prompt), estimated)

    def _take(self, line: bytes) -> None:
        """Read one line: an event of a stream, or a whole answer."""
        text = line.strip()
        data = text.removeprefix(b"data:").strip()
        if not data.startswith(b"{"):
            return
        self._events += 1
        if any(sign in data for sign in _SIGNS):
            try:
                self._told |= dict(_counts(read_json(data)))
            except ForeignJSONError:
                return


def _counts(payload: object) -> Iterator[tuple[str, int]]:
    """Yield the counts of tokens, wherever a dialect has them."""
    if not isinstance(payload, Mapping):
        return
    for name in (*_PROMPT, *_OUTPUT, *_CACHED):
        value: Any = payload.get(name)
        if type(value) is int and 0 <= value <= TOKENS_LIMIT:
            yield name, value
    for name in _PLACES:
        yield from _counts(payload.get(name))


def _first(told: Mapping[str, int], names: tuple[str, ...]) -> int | None:
    return next((told[name] for name in names if name in told), None)
