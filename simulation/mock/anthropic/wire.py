"""Anthropic's bodies: the events of a stream, a whole message, and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Block", "Body", "block_events", "error", "event", "message"]

Body = dict[str, Any]
Block = dict[str, Any]


def event(body: Mapping[str, Any]) -> bytes:
    """Return one server-sent event, named like its data's type."""
    return f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode()


def error(kind: str, text: str) -> Body:
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_mock"}


def message(
    number: int, model: str, blocks: Sequence[Block], stop_reason: str | None, usage: Mapping[str, int]
) -> Body:
    """Return a whole message; without blocks and a reason it is the one that a stream starts with."""
    return {
        "id": f"msg_{number:024}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(blocks),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": dict(usage),
    }


def block_events(index: int, block: Block) -> Iterator[Body]:
    """Yield the events of one block: its start, a piece for each word, its end."""
    yield {"type": "content_block_start", "index": index, "content_block": _empty(block)}
    for delta in _deltas(block):
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _empty(block: Block) -> Block:
    empty: Mapping[str, Block] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    return {**block, **empty[block["type"]]}


def _deltas(block: Block) -> Iterator[Body]:
    if block["type"] == "text":
        for word in _words(block["text"]):
            yield {"type": "text_delta", "text": word}
    elif block["type"] == "thinking":
        for word in _words(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": word}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        text = json.dumps(block["input"])
        yield {"type": "input_json_delta", "partial_json": ""}
        for start in range(0, len(text), 5):
            yield {"type": "input_json_delta", "partial_json": text[start : start + 5]}


def _words(text: str) -> Iterator[str]:
    for word in text.split(" "):
        if word:
            yield word + " "
