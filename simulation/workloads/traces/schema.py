"""One call of a trace, which every reader yields, and what a reader's file says of its format. No text of prompts or answers is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from .notes import Notes

__all__ = ["TraceCall", "TraceFormat", "at_least_one_token"]


@dataclass(frozen=True, slots=True)
class TraceCall:
    """One recorded call of a model. Times in seconds.

    ``session`` groups calls that depend on each other (None: a call by itself), and ``call`` is its number there. It is issued
    ``think_seconds`` after the last of ``depends_on`` has ended. A call that depends on none arrives at ``arrival_seconds`` from the
    start of the trace (None: the trace does not say). ``agent`` and ``model`` are None where they were not recorded.
    ``prompt_tokens`` are all tokens of the prompt, ``cached_tokens`` those of them that the server found in its prompt cache.
    """

    prompt_tokens: int
    completion_tokens: int
    session: str | None = None
    agent: str | None = None
    call: int = 0
    depends_on: tuple[int, ...] = ()
    think_seconds: float = 0.0
    arrival_seconds: float | None = None
    model: str | None = None
    cached_tokens: int = 0


class TraceFormat(NamedTuple):
    """``read`` yields the calls of a file; a file whose first bytes hold all of ``signs`` (in lower case) is of this format."""

    read: Callable[[Path, Notes], Iterator[TraceCall]]
    signs: tuple[bytes, ...]


def at_least_one_token(call: TraceCall, notes: Notes) -> TraceCall:
    """Return ``call`` with counts of 0 raised to 1, which ``notes`` count: a server reads and writes at least one token."""
    if call.prompt_tokens == 0:
        notes.count("a prompt of 0 tokens counts as 1")
        call = replace(call, prompt_tokens=1)
    if call.completion_tokens == 0:
        notes.count("an answer of 0 tokens counts as 1")
        call = replace(call, completion_tokens=1)
    if call.cached_tokens >= call.prompt_tokens and call.cached_tokens > 0:
        notes.count("a prompt that was cached as a whole is read from its last token on")
        call = replace(call, cached_tokens=call.prompt_tokens - 1)
    return call
