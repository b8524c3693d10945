"""Ollama's bodies: lines of an answer, lists of models, and flat errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from ...timing.latency import ModelSpec
from .runners import Runner

__all__ = ["Body", "error", "line", "not_found", "nothing_done", "now", "process", "tag", "timings"]

Body = dict[str, Any]

_DETAILS: Final = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "4B",
    "quantization_level": "Q4_K_M",
}
_NEVER: Final = "2318-01-01T00:00:00Z"


def line(body: Mapping[str, Any]) -> bytes:
    """Return one line of a stream."""
    return json.dumps(body).encode() + b"\n"


def now() -> str:
    return _time(datetime.now(UTC).timestamp())


def error(text: str) -> Body:
    return {"error": text}


def not_found(model: str) -> Body:
    return error(f"model '{model}' not found")


def nothing_done(model: str, reason: str, *, chat: bool) -> Body:
    """Return the answer to a request that only loads or unloads."""
    said: Body = {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
    return {"model": model, "created_at": now(), **said, "done": True, "done_reason": reason}


def timings(runner: Runner, prompt_tokens: int, tokens: int) -> Body:
    """Return the figures of the last line; durations are in nanoseconds."""
    prefill = prompt_tokens / runner.model.prefill_tokens_per_second
    decode = tokens / runner.model.decode_tokens_per_second
    return {
        "total_duration": _nanoseconds(runner.load_seconds + prefill + decode),
        "load_duration": _nanoseconds(runner.load_seconds),
        "prompt_eval_count": prompt_tokens,
        "prompt_eval_duration": _nanoseconds(prefill),
        "eval_count": tokens,
        "eval_duration": _nanoseconds(decode),
    }


def tag(model: ModelSpec) -> Body:
    """Return a row of the downloaded models."""
    return {**_row(model), "modified_at": now()}


def process(runner: Runner, clock: float) -> Body:
    """Return a row of the loaded models; ``clock`` is the server's time in seconds."""
    keeps = runner.keep_alive if runner.users or runner.loading else runner.expires_at - clock
    expires = _NEVER if math.isinf(keeps) else _time(datetime.now(UTC).timestamp() + keeps)
    context = runner.options["num_ctx"]
    return {
        **_row(runner.model),
        "expires_at": expires,
        "size_vram": runner.model.size_bytes,
        "context_length": context,
    }


def _row(model: ModelSpec) -> Body:
    digest = sha256(model.key.encode()).hexdigest()
    return {
        "name": model.key,
        "model": model.key,
        "size": model.size_bytes,
        "digest": digest,
        "details": dict(_DETAILS),
    }


def _time(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z")


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
