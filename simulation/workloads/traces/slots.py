"""This project's own trace format: JSON lines, one call a line, see ``docs/traces.md``. A trace of any format can be converted to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from .fields import TraceError, count_at, list_at, number_at, object_in, parsed_json, path_to, text_at
from .files import lines
from .notes import Notes
from .schema import TraceCall, TraceFormat, at_least_one_token

__all__ = ["FORMAT", "SCHEMA", "VERSION", "read_slots", "write_slots"]

SCHEMA: Final = "llm-slot-trace"
VERSION: Final = 1


def read_slots(path: Path, notes: Notes) -> Iterator[TraceCall]:
    """Yield the calls of a trace in our own format. Raises TraceError."""
    headed = False
    for place, line in lines(path):
        value = parsed_json(line, place)
        if not headed:
            _check_head(value, place)
            headed = True
        else:
            with notes.row(place):
                yield at_least_one_token(_call(object_in(value, place), place), notes)


def _check_head(value: Any, place: str) -> None:
    name, version = text_at(value, "schema", f"{place}:"), count_at(value, "version", f"{place}:")
    if (name, version) != (SCHEMA, VERSION):
        raise TraceError(f"{place}: schema", f"must be {SCHEMA}, version {VERSION}", f"{name}, version {version}")


def _call(value: Mapping[str, Any], line: str) -> TraceCall:
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


def _optional_text(value: Mapping[str, Any], key: str, place: str) -> str | None:
    return None if value.get(key) is None else text_at(value, key, place)


def write_slots(stream: IO[str], calls: Iterable[TraceCall]) -> int:
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


FORMAT: Final = TraceFormat(read_slots, (b'"llm-slot-trace"',))
