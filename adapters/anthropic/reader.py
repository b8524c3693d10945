"""Anthropic's messages: what an answer says, as events: https://docs.anthropic.com/en/docs/build-with-claude/streaming.

=============================  ===============================================================================
on the wire                    event
=============================  ===============================================================================
``text_delta``                 ``token``
``thinking_delta``             ``reasoning``
``tool_use``, its JSON pieces  ``tool_call``
``message_start``, ``_delta``  ``metadata`` before the end: the usage, in OpenAI's words too, and the blocks of thinking with their
                               signatures, which the next request has to give back where tools were used
``message_stop``               ``end``: ``end_turn`` is ``stop``, ``max_tokens`` is ``length``, ``tool_use`` is ``tool_calls``
``error``                      ``error``
=============================  ===============================================================================

The type in the data decides, not the event's name. Whole answers are read as the blocks that they are. What a server's own tools do
(``server_tool_use`` and results) is left out. How an answer closes: see ``http.reader``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from statemachine.config.call import StreamEvent

from ..http.client import HttpClient
from ..http.nothing import is_empty
from ..http.reader import JsonAnswerReader, sound
from ..http.stream import HttpRequest

__all__ = ["MessagesReader"]

_REASONS: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


_BLOCK_BYTES: Final = 512  # in memory, beside its texts
_PIECE_BYTES: Final = 64


@dataclass(slots=True)
class _Block:
    """One block of the answer: its type, and what is known of it at its end only."""

    kind: str
    number: int = 0  # counted over the answer: the server's indices may repeat
    given: object = None  # the arguments of a tool that stand in its start
    pieces: int = 0
    kept: dict[str, Any] = field(default_factory=dict)  # a block of thinking, as it is to be given back,
    more: dict[str, list[str]] = field(default_factory=dict)  # and the pieces of it that came later

    def whole(self) -> dict[str, Any]:
        """Return all that is kept."""
        joined = {name: f"{self.kept.get(name) or ''}{''.join(pieces)}" for name, pieces in self.more.items()}
        return {**self.kept, **joined}


class MessagesReader(JsonAnswerReader):
    """Reads messages, whole ones and the events of a stream."""

    def __init__(self, http: HttpClient, request: HttpRequest) -> None:
        super().__init__(http, request)
        self._blocks: dict[int, _Block] = {}
        self._count = 0
        self._thinking: list[dict[str, Any]] = []
        self._usage: dict[str, Any] = {}

    def _read(self, payload: Mapping[str, Any], *, whole: bool) -> Iterator[StreamEvent]:
        kind = _type(payload)
        if whole:
            yield from self._message(payload)
        elif kind == "message_start":
            self._add_usage(_mapping(payload.get("message")))
        elif kind == "content_block_start":
            yield from self._start(payload)
        elif kind == "content_block_delta":
            yield from self._delta(payload)
        elif kind == "content_block_stop":
            yield from self._stop(_index(payload))
        elif kind == "message_delta":
            self._add_usage(payload)
            delta = _mapping(payload.get("delta"))
            yield from self._reason(_told(delta.get("stop_reason")), delta)
        elif kind == "message_stop":
            yield from self._done()
        elif kind == "error":
            yield from self._reported(payload)
        elif "choices" in payload:
            self._unreadable = "chunks of another protocol"

    def _is_piece(self, payload: Mapping[str, Any]) -> bool:
        return _type(payload).startswith(("message_", "content_block_", "ping"))

    def _message(self, payload: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """Read a whole answer."""
        content = payload.get("content")
        for index, block in enumerate(content if isinstance(content, list) else [content]):
            yield from self._start({"index": index, "content_block": block})
        self._add_usage(payload)
        yield from self._reason(_told(payload.get("stop_reason")), payload)

    # ---- blocks ----

    def _start(self, payload: Mapping[str, Any]) -> Iterator[StreamEvent]:
        given = payload.get("content_block")
        index = _index(payload)
        yield from self._stop(index)  # a block that was never stopped
        if isinstance(given, str):
            given = {"type": "text", "text": given}
        block = _mapping(given)
        kind = _type(block)
        kept = dict(block) if kind in ("thinking", "redacted_thinking") else {}
        self._count += 1
        self._keep(_BLOCK_BYTES + _size(block))
        self._blocks[index] = _Block(kind, self._count, block.get("input"), 0, kept)
        if kind == "text":
            yield from self._text(block.get("text"))
        elif kind == "thinking":
            yield from self._text(block.get("thinking"), "reasoning")
        elif kind == "tool_use":
            yield from self._tool_calls(
                [{"index": self._count, "id": block.get("id"), "function": {"name": block.get("name")}}]
            )
        elif not (
            is_empty(given) or kind == "redacted_thinking" or kind.startswith("server_") or kind.endswith("_result")
        ):
            yield from self._text(given)

    def _delta(self, payload: Mapping[str, Any]) -> Iterator[StreamEvent]:
        index, given = _index(payload), payload.get("delta")
        delta, kind = _mapping(given), _type(given)
        block = self._block(index)
        if kind == "input_json_delta" or "partial_json" in delta:
            yield from self._input(block, delta.get("partial_json"))
        elif kind == "signature_delta":
            self._more(block, "signature", delta.get("signature"))
        elif kind == "thinking_delta" or "thinking" in delta:
            text = delta.get("thinking")
            self._more(block, "thinking", text)
            yield from self._text(text, "reasoning")
        elif kind == "text_delta" or "text" in delta:
            text = delta.get("text")
            yield from self._text(delta.get("content") if is_empty(text) else text)
            self._look_through(delta, ("type", "text", "content", "index", "citations"))
        elif kind != "citations_delta" and not is_empty(given):
            yield from self._text(given)

    def _block(self, index: int) -> _Block:
        """Return the block of that index; one that was never begun is text."""
        if (block := self._blocks.get(index)) is None:
            self._keep(_BLOCK_BYTES)
            block = self._blocks[index] = _Block("text")
        return block

    def _more(self, block: _Block, name: str, text: object) -> None:
        """Keep another piece of a block of thinking."""
        if isinstance(text, str) and text:
            self._keep(len(text) + _PIECE_BYTES)
            block.more.setdefault(name, []).append(text)

    def _input(self, block: _Block, piece: object) -> Iterator[StreamEvent]:
        if block.kind != "tool_use" or is_empty(piece):
            return  # a server's own tool, or the empty piece that every input begins with
        block.pieces += 1
        yield from self._tool_calls([{"index": block.number, "function": {"arguments": piece}}])

    def _stop(self, index: int) -> Iterator[StreamEvent]:
        """End a block. A tool without pieces of JSON was given its arguments in the start: also none at all are an object."""
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.kind == "tool_use" and not block.pieces:
            arguments = {} if block.given is None else block.given
            yield from self._tool_calls([{"index": block.number, "function": {"arguments": arguments}}], whole=True)
        kept = block.whole()
        if kept.get("signature") or kept.get("data"):
            self._thinking.append(sound(kept))

    # ---- the end ----

    def _done(self) -> Iterator[StreamEvent]:
        for index in list(self._blocks):
            yield from self._stop(index)
        metadata: dict[str, Any] = {}
        if self._usage:
            metadata["usage"] = _with_openai_names(self._usage)
        if self._thinking:
            metadata["thinking_blocks"] = self._thinking
        if metadata:
            yield StreamEvent("metadata", metadata)
        yield from super()._done()

    def _add_usage(self, payload: Mapping[str, Any]) -> None:
        """Note the usage: what a later event says replaces what an earlier one said; what it does not say stays."""
        usage = _mapping(payload.get("usage"))
        new = {name: value for name, value in sound(usage).items() if value is not None}
        self._keep(_size({name: value for name, value in new.items() if self._usage.get(name) != value}))
        self._usage.update(new)


def _with_openai_names(usage: Mapping[str, Any]) -> dict[str, Any]:
    cached = ("cache_creation_input_tokens", "cache_read_input_tokens")
    prompt = sum(_count(usage.get(name)) for name in ("input_tokens", *cached))
    completion = _count(usage.get("output_tokens"))
    return {
        **usage,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": _count(usage.get("cache_read_input_tokens"))},
    }


def _size(kept: Mapping[str, Any]) -> int:
    """Return about how many bytes of memory a block of the answer takes."""
    return sum(len(name) + len(str(value)) + _PIECE_BYTES for name, value in kept.items())


def _told(reason: object) -> object:
    """Put a stop reason in OpenAI's words, where they have one."""
    return _REASONS.get(reason.strip().lower(), reason) if isinstance(reason, str) else reason


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _index(payload: Mapping[str, Any]) -> int:
    index = payload.get("index")
    if isinstance(index, str) and index.isascii() and index.isdigit() and len(index) < 10:
        return int(index)
    return index if isinstance(index, int) else 0


def _type(value: object) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else None
    return kind if isinstance(kind, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
