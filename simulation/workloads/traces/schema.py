"""One call of a trace, and this project's own trace format: JSON lines, one call a line, described in ``docs/traces.md``.

Every reader yields :class:`TraceCall`, so a trace of any format can be converted to this one. No text of prompts or answers is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from .fields import TraceError, count_at, list_at, number_at, parsed_json, path_to, text_at
from .files import lines
from .notes import Notes

__all__ = ["SCHEMA", "VERSION", "TraceCall", "at_least_one_token", "read_schema", "write_schema"]

SCHEMA: Final = "llm-slot-trace"
VERSION: Final = 1


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


def read_schema(path: Path, notes: Notes) -> Iterator[TraceCall]:
    """Yield the calls of a trace in our own format. Raises TraceError."""
    headed = False
    for place, line in lines(path):
        value = parsed_json(line, place)
        if not headed:
            _check_head(value, place)
            headed = True
        else:
            with notes.row(place):
                yield at_least_one_token(_call(value, place), notes)


def _check_head(value: Any, place: str) -> None:
    name, version = text_at(value, "schema", f"{place}:"), count_at(value, "version", f"{place}:")
    if (name, version) != (SCHEMA, VERSION):
        raise TraceError(f"{place}: schema", f"must be {SCHEMA}, version {VERSION}", f"{name}, version {version}")


def _call(value: Any, line: str) -> TraceCall:
    place = f"{line}:"
    depends_on = list_at(value, "depends_on", place) if "depends_on" in value else []
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in depends_on):
        raise TraceError(path_to(place, "depends_on"), "must hold numbers of calls", "others")
    return TraceCall(
        prompt_tokens=count_at(value, "prompt_tokens", place),
        completion_tokens=count_at(value, "completion_tokens", place),
        session=_optional_text(value, "session", place),
        agent=_optional_text(value, "agent", place),
        call=count_at(value, "call", place) if "call" in value else 0,
        depends_on=tuple(depends_on),
        think_seconds=number_at(value, "think_time", place, 0.0),
        arrival_seconds=None if value.get("arrival") is None else number_at(value, "arrival", place),
        model=_optional_text(value, "model", place),
        cached_tokens=count_at(value, "cached_tokens", place) if "cached_tokens" in value else 0,
    )


def _optional_text(value: Any, key: str, place: str) -> str | None:
    return None if value.get(key) is None else text_at(value, key, place)


def write_schema(stream: IO[str], calls: Iterable[TraceCall]) -> int:
    """Write ``calls`` as a trace in our own format. Returns how many."""
    stream.write(json.dumps({"schema": SCHEMA, "version": VERSION}) + "\n")
    number = 0
    for call in calls:
        stream.write(json.dumps(_line(call)) + "\n")
        number += 1
    return number


def _line(call: TraceCall) -> dict[str, Any]:
    line: dict[str, Any] = {
        "session": call.session,
        "agent": call.agent,
        "call": call.call,
        "depends_on": list(call.depends_on),
        "think_time": call.think_seconds,
        "arrival": call.arrival_seconds,
        "model": call.model,
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "cached_tokens": call.cached_tokens,
    }
    return {name: value for name, value in line.items() if value is not None}
