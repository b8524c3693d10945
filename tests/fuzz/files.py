"""Files that were damaged anywhere: threads, traces, configuration. Whatever is in them, the error is a typed one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import trio
from hypothesis import strategies as st

from adapters.gateway.settings import load_settings
from simulation.workloads.traces.formats import FORMATS, read_trace
from simulation.workloads.traces.notes import Notes
from statemachine import ConfigurationError, ProviderManagerError, RuntimeProviderConfig, StateManager

from .answers import Damage

__all__ = ["KINDS", "check", "damages_of_files"]

ROOT: Final = Path(__file__).parents[2]
_CALL: Final = {"session": "s", "call": 0, "arrival_seconds": 0, "prompt_tokens": 5, "completion_tokens": 7}
_HEAD: Final = {"schema": "llm-slot-trace", "version": 1}
_SPAN: Final = {"traceId": "a", "spanId": "b", "startTimeUnixNano": "1", "endTimeUnixNano": "2", "attributes": []}
_TRACES: Final = {
    "slots": "\n".join(map(json.dumps, [_HEAD, _CALL, {**_CALL, "call": 1, "depends_on": [0]}])),
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04,110,27\n",
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n",
    "mooncake": '{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}\n',
    "spans": json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [_SPAN]}]}]}),
    "weka": '{"id":"a","block_size":64,"requests":[{"t":0.0,"type":"n","model":"m","in":10,"out":5,"hash_ids":[1]}]}\n',
}  # fmt: skip
_pieces = st.binary(max_size=8) | st.sampled_from(
    [b"", b"\n", b",", b'"', b"[" * 300, b"{", b"9" * 500, b"NaN", b"1e999", b"-1", b"null", b"true", b"\x00", b"\xff\xfe", b"\xed\xa0\x80"]
)  # fmt: skip
damages_of_files = st.lists(st.tuples(st.integers(0, 30_000), _pieces), min_size=1, max_size=6)


@cache
def _thread_file() -> bytes:
    async def write(path: Path) -> None:
        state = StateManager(path)
        await state.set_thread_config_value("t", "runtime_provider_config", RuntimeProviderConfig("p", "m", {"a": [1]}))
        await state.set_thread_config_value("t", "k", {"text": "x" * 50, "api_key": "sk-0123456789abcdef"})

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "threads")
        trio.run(write, path)
        return path.read_bytes()


def _read_threads(path: Path) -> None:
    async def load() -> None:
        for thread in ("t", "u"):
            context = await StateManager(path).load_thread_context(thread)
            json.dumps(dict(context.config), default=str)

    with suppress(ProviderManagerError):
        trio.run(load)


def _read_trace(path: Path) -> None:
    for name in (None, *FORMATS):
        with suppress(ConfigurationError):
            for call in read_trace(path, Notes(), name):
                assert call.prompt_tokens >= 1
                assert call.completion_tokens >= 1


def _read_settings(path: Path) -> None:
    with suppress(ConfigurationError):
        load_settings(path, {})


KINDS: Final[dict[str, tuple[Callable[[], bytes], Callable[[Path], None]]]] = {
    "threads": (_thread_file, _read_threads),
    "settings": ((ROOT / "examples" / "gateway.toml").read_bytes, _read_settings),
    **{name: (text.encode, _read_trace) for name, text in _TRACES.items()},
}
"""By kind of file: a good one, and what reads it."""


def check(kind: str, damage: Damage) -> None:
    """Nothing but typed errors, and no file descriptor or warning is left."""
    good, reader = KINDS[kind]
    content = bytearray(good())
    for place, piece in damage:
        at = place % (len(content) + 1)
        content[at : at + place % 7] = piece
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(content)
        path.chmod(0o600)
        reader(path)
