"""Ollama's ``/api/chat``: what an answer says, as events. One JSON object a line; the last one has ``done: true``.

===============================  ===========================================================================
on the wire                      event
===============================  ===========================================================================
``message.content``              ``token``
``message.thinking``             ``reasoning``
``message.tool_calls``           ``tool_call``: each is whole, its arguments are an object; ids are made up where there are none
``done`` with its figures        ``metadata`` (``usage`` in OpenAI's words, ``stats`` as they are, in nanoseconds), then ``end``
``{"error": "text"}``            ``error``
===============================  ===========================================================================

A whole answer is a stream of one line. Also read: one object over several lines, and server-sent events, as proxies make of the lines.
How an answer closes: see ``http.reader``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from statemachine.config.call import StreamEvent

from ..http.client import HttpClient
from ..http.nothing import is_empty
from ..http.reader import JsonAnswerReader
from ..http.stream import HttpRequest

__all__ = ["OllamaReader"]

_KNOWN: Final = ("role", "content", "text", "thinking", "tool_calls", "tool_name", "images", "logprobs")
_STATS: Final = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)


class OllamaReader(JsonAnswerReader):
    """Reads chats, whole ones and lines."""

    def __init__(self, http: HttpClient, request: HttpRequest) -> None:
        super().__init__(http, request)
        self._call_count = 0

    def _is_piece(self, payload: Mapping[str, Any]) -> bool:
        return True  # a whole answer is a stream of one

    def _read(self, payload: Mapping[str, Any], *, whole: bool) -> Iterator[StreamEvent]:
        message = payload.get("message")
        if isinstance(message, Mapping):
            yield from self._text(message.get("thinking"), "reasoning")
            content = message.get("content")
            yield from self._text(message.get("text") if is_empty(content) else content)
            yield from self._tool_calls(self._with_ids(message.get("tool_calls")), whole=True)
            self._look_through(message, _KNOWN)
        elif "response" in payload:  # as in /api/generate
            yield from self._text(payload.get("thinking"), "reasoning")
            yield from self._text(payload["response"])
        elif not is_empty(message):
            self._unreadable = f"a message that is a {type(message).__name__}"
        if str(payload.get("done")).lower() in ("true", "1"):
            yield from self._last(payload)

    def _with_ids(self, calls: object) -> object:
        """Return the calls, each with an id: without one, results could not be told apart."""
        if isinstance(calls, Mapping) and calls:
            calls = [calls]
        if not isinstance(calls, list):
            return calls
        named: list[object] = []
        for call in calls:
            if isinstance(call, Mapping):
                function = call.get("function")
                call_id = call.get("id") or (function.get("id") if isinstance(function, Mapping) else None)
                call = {**call, "index": self._call_count, "id": call_id or f"call_{self._call_count}"}
                self._call_count += 1
            named.append(call)
        return named

    def _last(self, payload: Mapping[str, Any]) -> Iterator[StreamEvent]:
        reason = payload.get("done_reason")
        stats = {name: payload[name] for name in _STATS if _is_count(payload.get(name))}
        if stats:
            prompt, completion = stats.get("prompt_eval_count", 0), stats.get("eval_count", 0)
            usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
            yield StreamEvent("metadata", {"usage": usage, "stats": stats})
        if reason in ("load", "unload"):  # as if there had been no messages
            yield from self._nonsense(f"the server did only {reason} the model")
            return
        yield from self._reason("tool_calls" if reason == "stop" and self._call_count else reason, payload)
        if not self.closed:
            yield from self._done()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
