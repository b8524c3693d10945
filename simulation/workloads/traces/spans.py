"""OpenTelemetry spans of generative AI, as the OTLP JSON file exporter writes them: one or more ``resourceSpans`` documents.

A call is a span with ``gen_ai.request.model`` (or ``gen_ai.response.model``) and token counts; spans of agents and tools have none and
are passed over. Source: OpenTelemetry semantic conventions for generative AI, 1.28 to 1.38; both names of the token counts are read.

Spans say when a call was made, not why. Calls of one conversation (else of one trace) are taken to depend on what had just ended: a call
comes after every call that had ended before it and that no other such call came after.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from .fields import TOKENS_LIMIT, TraceError, list_at, name_in, parsed_json, text_at
from .files import documents, whole
from .notes import Notes
from .schema import TraceCall, TraceFormat, at_least_one_token

__all__ = ["FORMAT", "read_spans", "spans_to_calls"]

_PROMPT: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_OUTPUT: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_CACHED: Final = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cached_tokens")
_MODEL: Final = ("gen_ai.request.model", "gen_ai.response.model")
_AGENT: Final = ("gen_ai.agent.name", "gen_ai.agent.id", "service.name")
_SESSION: Final = ("gen_ai.conversation.id", "session.id")
_DIGITS: Final = 20


class _Span(NamedTuple):
    """A call as it was made: times in seconds since the epoch."""

    start: float
    end: float
    call: TraceCall


def read_spans(path: Path, notes: Notes) -> Iterator[TraceCall]:
    """Yield the calls in ``path``, by start. Reads all before the first is yielded, because spans come in any order. Raises TraceError."""
    notes.remark("Dependencies between the calls of a conversation are inferred from when they started and ended.")
    spans = [span for place, value in _json_values(path) for span in _calls_in(value, place, notes)]
    yield from spans_to_calls([(span.start, span.end, span.call) for span in spans])


def _json_values(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each document, be it a file or a line of one."""
    for name, stream in documents(path):
        text = whole(stream, name).decode("utf-8-sig", "replace")
        rows = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        try:
            yield name, parsed_json(text, name)
        except TraceError:
            if len(rows) < 2 or not rows[0][1].rstrip().endswith("}"):
                raise
            for number, line in rows:
                yield f"{name}:{number}", parsed_json(line, f"{name}:{number}")


def _calls_in(value: Any, place: str, notes: Notes) -> Iterator[_Span]:
    for i, resource in enumerate(list_at(value, "resourceSpans", f"{place}:")):
        where = f"{place}: resourceSpans[{i}]"
        shared = _attributes(resource.get("resource"), where) if isinstance(resource, Mapping) else {}
        for j, scope in enumerate(list_at(resource, "scopeSpans", where)):
            for k, span in enumerate(list_at(scope, "spans", f"{where}.scopeSpans[{j}]")):
                spot = f"{where}.scopeSpans[{j}].spans[{k}]"
                with notes.row(spot):
                    found = _span(span, shared, spot, notes)
                    if found is not None:
                        yield found


def _span(span: Any, shared: Mapping[str, Any], place: str, notes: Notes) -> _Span | None:
    found = {**shared, **_attributes(span, place)}
    model, prompt, output = _first(found, _MODEL), _first(found, _PROMPT), _first(found, _OUTPUT)
    if model is None or prompt is None or output is None:
        return None
    start, end = (_nanoseconds(span, name, place) / 1e9 for name in ("startTimeUnixNano", "endTimeUnixNano"))
    agent, session = _first(found, _AGENT), _first(found, _SESSION)
    call = TraceCall(
        prompt_tokens=_tokens(prompt, place),
        completion_tokens=_tokens(output, place),
        session=text_at(span, "traceId", place) if session is None else name_in(session, place),
        agent=None if agent is None else name_in(agent, place),
        model=name_in(model, place),
        cached_tokens=_tokens(_first(found, _CACHED) or 0, place),
    )
    return _Span(start, max(start, end), at_least_one_token(call, notes))


def _attributes(owner: Any, place: str) -> dict[str, Any]:
    """Return the attributes by name, each with its value, whatever its type."""
    if not isinstance(owner, Mapping) or "attributes" not in owner:
        return {}
    found: dict[str, Any] = {}
    for pair in list_at(owner, "attributes", place):
        if isinstance(pair, Mapping) and isinstance(pair.get("value"), Mapping):
            found[str(pair.get("key"))] = next(iter(pair["value"].values()), None)
    return found


def _first(found: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((found[name] for name in names if found.get(name) is not None), None)


def _tokens(value: Any, place: str) -> int:
    """OTLP writes 64-bit integers as strings."""
    return _integer(value, TOKENS_LIMIT, f"{place}: tokens")


def _nanoseconds(span: Any, name: str, place: str) -> int:
    value = span.get(name) if isinstance(span, Mapping) else None
    return _integer(value, 2**63 - 1, f"{place}.{name}")


def _integer(value: Any, most: int, place: str) -> int:
    text = value if isinstance(value, str) else str(value) if type(value) is int and abs(value) <= most else ""
    if not (text.isascii() and text.isdigit() and len(text) < _DIGITS and int(text) <= most):
        raise TraceError(place, f"must be an integer from 0 to {most}", repr(value)[:80])
    return int(text)


# ---- dependencies, from the times ----


def spans_to_calls(spans: list[tuple[float, float, TraceCall]]) -> Iterator[TraceCall]:
    """Yield each (start, end, call) by start, with number, dependencies, think time, and arrival where it depends on none."""
    spans.sort(key=lambda span: (span[0], span[1]))
    first = spans[0][0] if spans else 0.0
    sessions: dict[str | None, _Session] = {}
    for start, end, call in spans:
        session = sessions.setdefault(call.session, _Session())
        yield session.placed(start, end, call, first)


class _Session:
    """The calls of a session so far, by their ends."""

    def __init__(self) -> None:
        self._starts: list[float] = []  # by number
        self._ends: list[tuple[float, int]] = []  # sorted: end, number
        self._latest_starts: list[float] = []  # of the calls up to each place in _ends

    def placed(self, start: float, end: float, call: TraceCall, first: float) -> TraceCall:
        """Return ``call`` with its dependencies, and keep it."""
        number = len(self._starts)
        ended = bisect_right(self._ends, (start, number))
        after = self._last_of(ended)
        self._keep(start, end)
        if not after:
            return replace(call, call=number, arrival_seconds=start - first)
        think = start - self._ends[ended - 1][0]
        return replace(call, call=number, depends_on=after, think_seconds=think)

    def _last_of(self, ended: int) -> tuple[int, ...]:
        """Return those of the first ``ended`` calls that no other of them came after."""
        if ended == 0:
            return ()
        begun = self._latest_starts[ended - 1]
        last = []
        for end, number in reversed(self._ends[:ended]):
            if end < begun:
                break
            if end > begun or self._starts[number] == begun:
                last.append(number)
        return tuple(sorted(last))

    def _keep(self, start: float, end: float) -> None:
        number = len(self._starts)
        self._starts.append(start)
        place = bisect_left(self._ends, (end, number))
        self._ends.insert(place, (end, number))
        before = self._latest_starts[place - 1] if place else -math.inf
        del self._latest_starts[place:]
        for _, each in self._ends[place:]:  # calls end nearly in order, so these are few
            before = max(before, self._starts[each])
            self._latest_starts.append(before)


FORMAT: Final = TraceFormat(read_spans, (b'"resourcespans"',))
