"""How each protocol says that something went wrong, before an answer has begun and in the middle of one.

A *dialect* belongs to a path: a client that posts to ``/v1/messages`` understands Anthropic's errors and no others. All functions
here are pure; what a problem is called and which status it has is decided in :mod:`.problems`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .problems import Problem

__all__ = ["ANTHROPIC", "LM_STUDIO", "OLLAMA", "OPENAI", "RESPONSES", "Dialect"]

SSE: Final = "text/event-stream; charset=utf-8"
NDJSON: Final = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Dialect:
    """``body`` makes the JSON body of an error, ``in_stream`` its bytes inside a stream.

    ``stream_type`` is the content type of a stream. ``streams`` is what a request means whose body does not say ``stream``.
    ``comments``: whether a stream may hold comment lines, which keep a connection alive.
    """

    name: str
    body: Callable[[Problem], Mapping[str, Any]]
    in_stream: Callable[[Problem], bytes]
    stream_type: str = SSE
    streams: bool = False
    comments: bool = True


def _openai(problem: Problem) -> dict[str, Any]:
    error = {"message": problem.message, "type": problem.type, "param": problem.param, "code": problem.code}
    return {"error": error}


_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def _anthropic(problem: Problem) -> dict[str, Any]:
    kind = _ANTHROPIC_TYPES.get(problem.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": problem.message}}


def _ollama(problem: Problem) -> dict[str, Any]:
    return {"error": problem.message}


def _lm_studio(problem: Problem) -> dict[str, Any]:
    return {"error": {"type": problem.type, "code": problem.code, "message": problem.message}}


def _data(value: Mapping[str, Any], event: str | None = None) -> bytes:
    name = "" if event is None else f"event: {event}\n"
    return f"{name}data: {json.dumps(value)}\n\n".encode()


def _responses_event(problem: Problem) -> bytes:
    """Return the ``error`` event of ``/v1/responses``. It ends the stream, so its place in the sequence is unknown here."""
    event = {
        "type": "error",
        "code": problem.code,
        "message": problem.message,
        "param": problem.param,
        "sequence_number": 0,
    }
    return _data(event, "error")


OPENAI: Final = Dialect("openai", _openai, lambda problem: _data(_openai(problem)))
RESPONSES: Final = Dialect("openai-responses", _openai, _responses_event)
ANTHROPIC: Final = Dialect("anthropic", _anthropic, lambda problem: _data(_anthropic(problem), "error"))
OLLAMA: Final = Dialect(
    "ollama",
    _ollama,
    lambda problem: json.dumps(_ollama(problem)).encode() + b"\n",
    stream_type=NDJSON,
    streams=True,
    comments=False,  # its clients read every line as JSON
)
LM_STUDIO: Final = Dialect(
    "lmstudio", _lm_studio, lambda problem: _data({"type": "error", **_lm_studio(problem)}, "error")
)
