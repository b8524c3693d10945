"""The trace formats by name, and how a file's format is found out from its beginning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from .azure import read_azure
from .burstgpt import read_burstgpt
from .fields import TraceError
from .files import head
from .mooncake import read_mooncake
from .notes import Notes
from .schema import TraceCall, read_schema
from .sessions import weka_calls
from .spans import read_spans

__all__ = ["FORMATS", "TraceFormat", "format_of", "read_trace"]

Reader: TypeAlias = Callable[[Path, Notes], Iterator[TraceCall]]


class TraceFormat(NamedTuple):
    """``read`` yields the calls of a file; a file whose first bytes hold all of ``signs`` (in lower case) is of this format."""

    read: Reader
    signs: tuple[bytes, ...]
    about: str


FORMATS: Final[dict[str, TraceFormat]] = {
    "slots": TraceFormat(read_schema, (b'"llm-slot-trace"',), "our own JSON lines, docs/traces.md"),
    "azure": TraceFormat(read_azure, (b"timestamp", b"contexttokens", b"generatedtokens"), "Azure LLM inference, CSV"),
    "burstgpt": TraceFormat(read_burstgpt, (b"timestamp", b"request tokens", b"response tokens"), "BurstGPT, CSV"),
    "mooncake": TraceFormat(read_mooncake, (b'"input_length"', b'"output_length"'), "Mooncake, JSON lines"),
    "spans": TraceFormat(read_spans, (b'"resourcespans"',), "OpenTelemetry gen-ai spans, OTLP JSON"),
    "weka": TraceFormat(weka_calls, (b'"block_size"',), "Weka sessions of coding agents, JSON"),
}


def format_of(path: Path) -> str:
    """Return the name of the format of ``path``. Raises TraceError where none fits."""
    name, beginning = head(path)
    lowered = beginning.lower()
    for known, about in FORMATS.items():
        if all(sign in lowered for sign in about.signs):
            return known
    raise TraceError(name, f"must be a trace of a known format ({', '.join(FORMATS)})", repr(beginning[:40]))


def read_trace(path: Path, notes: Notes, name: str | None = None) -> Iterator[TraceCall]:
    """Yield the calls of a trace; ``name`` is its format (None: found out). Raises TraceError."""
    return FORMATS[name or format_of(path)].read(path, notes)
