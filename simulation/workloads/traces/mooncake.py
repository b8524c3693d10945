"""Mooncake's traces: JSON lines ``timestamp`` (ms), ``input_length``, ``output_length``, ``hash_ids`` (blocks of 512 tokens).

A prompt is cached as far as an earlier prompt began with the same blocks. Agents and models are not recorded.
Source: github.com/kvcache-ai/Mooncake; Qin et al., Mooncake, FAST 2025.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .fields import TraceError, count_at, number_at, parsed_json
from .files import lines
from .notes import Notes
from .prompt_cache import PromptCache, blocks_at
from .schema import TraceCall, TraceFormat, at_least_one_token

__all__ = ["BLOCK_TOKENS", "FORMAT", "read_mooncake"]

BLOCK_TOKENS: Final = 512


def read_mooncake(path: Path, notes: Notes) -> Iterator[TraceCall]:
    """Yield the rows of a Mooncake trace; the first arrives at 0 seconds. Raises TraceError with the file and the line."""
    notes.remark("The Mooncake trace is an open loop; its prompt cache keeps every block, and survives a switch.")
    cache, first = PromptCache(), None
    for place, line in lines(path):
        with notes.row(place):
            value: Any = parsed_json(line, place)
            when = number_at(value, "timestamp", f"{place}:") / 1000
            first = when if first is None else first
            if when < first:
                raise TraceError(f"{place}: timestamp", "must not be before the first line's", f"{when:g}")
            prompt = count_at(value, "input_length", f"{place}:")
            output = count_at(value, "output_length", f"{place}:")
            known = cache.known(blocks_at(value, f"{place}:")) if "hash_ids" in value else 0
            cached = min(prompt, known * BLOCK_TOKENS)
            call = TraceCall(prompt, output, arrival_seconds=when - first, cached_tokens=cached)
            yield at_least_one_token(call, notes)


FORMAT: Final = TraceFormat(read_mooncake, (b'"input_length"', b'"output_length"'))
