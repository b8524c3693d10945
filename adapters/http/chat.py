"""OpenAI's chat completions: what an answer says, as events.

Every OpenAI-compatible server is read with this file, so it takes what they differ in: chunks with or without usage, text and
reasoning in several shapes (see ``parts``), tool calls with and without numbers (``tool_calls``), errors in every shape (``errors``), a
stream where none was asked for and the other way round, whatever the label says (``form``).

An answer always closes with exactly one ``end`` or ``error``:

- ``[DONE]``, or the end of the body, after a finish reason: ``end`` with that reason. From the finish reason on the answer is complete:
  what cannot be read after it, a cut or a silence included, changes nothing; an error that the server reports still is one;
- ``[DONE]`` without a finish reason: ``end`` with None, or AdapterProtocolError if there was no answer at all, which is how some servers
  report a prompt that does not fit;
- the end of the body without either: TruncatedStreamError;
- a finish reason that is none, such as ``error``; an error in any shape, a lost connection, a time-out, an answer that makes no sense
  or that has text in it that cannot be read: the AdapterError for it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, Final

from statemachine.config.call import StreamEvent

from .client import HttpClient
from .nothing import is_empty
from .reader import JsonAnswerReader, sound
from .stream import HttpRequest, stream_answer

__all__ = ["ChatReader", "stream_chat"]

_METADATA: Final = ("usage", "stats", "timings")
_KNOWN: Final = frozenset(
    {
        *("content", "text", "refusal", "tool_calls", "role", "name", "id", "type", "object", "index"),
        *(
            "reasoning_content",
            "reasoning",
            "thinking",
            "reasoning_details",
        ),  # and what is no part of the answer itself:
        *("annotations", "citations", "logprobs", "token_ids", "provider_specific_fields", "signature", "metadata"),
        "error",
    }
)
_REASONING: Final = ("reasoning_content", "reasoning", "thinking", "reasoning_details")


def stream_chat(http: HttpClient, request: HttpRequest) -> AsyncGenerator[StreamEvent, None]:
    """Make the request; yield the answer's events. Failures are events too: nothing but cancellation is raised."""
    return stream_answer(http, request, ChatReader(http, request))


class ChatReader(JsonAnswerReader):
    """Reads chat completions, whole ones and chunks. Other choices than the first are left out."""

    def _read(self, payload: Mapping[str, Any], *, whole: bool) -> Iterator[StreamEvent]:
        choices = payload.get("choices")
        given = [choices] if isinstance(choices, Mapping) else choices if isinstance(choices, list) else []
        odd = next((c for c in (choices, *given) if not isinstance(c, (Mapping, list)) and not is_empty(c)), None)
        if odd is not None:
            self._unreadable = f"a choice that is a {type(odd).__name__}"
        first = [
            c for place, c in enumerate(given) if isinstance(c, Mapping) and not _is_another(c.get("index"), place)
        ]
        deltas = [_delta(choice, whole) for choice in first]
        for choice, delta in zip(first, deltas, strict=True):
            yield from self._content(delta, whole)
            if not delta:
                self._look_through({"message": choice.get("message")}, ())
        groq = payload.get("x_groq")
        places = [*first, *deltas, *([groq] if isinstance(groq, Mapping) else [])]
        for place in places:
            yield from self._reason(place.get("finish_reason"), place)
            if self.closed:
                return
        if metadata := _metadata(payload, *places):
            yield StreamEvent("metadata", metadata)

    def _is_piece(self, payload: Mapping[str, Any]) -> bool:
        kind = payload.get("object")
        return isinstance(kind, str) and kind.endswith(".chunk")

    def _begins_lines(self, payload: Mapping[str, Any]) -> bool:
        choices = payload.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        return self._is_piece(payload) or (isinstance(first, Mapping) and "delta" in first and "message" not in first)

    def _content(self, delta: Mapping[str, Any], whole: bool) -> Iterator[StreamEvent]:
        """Read the parts of one delta or message. The first delta of a stream has a role only, and gives none."""
        reasoning = next((delta[name] for name in _REASONING if not is_empty(delta.get(name))), None)
        yield from self._text(reasoning, "reasoning")
        content = delta.get("content")
        yield from self._text(delta.get("text") if is_empty(content) else content)
        yield from self._text(delta.get("refusal"))
        function = delta.get("function_call")  # as tool calls were called before there could be several
        old = [] if is_empty(function) else [{"index": 0, "function": function}]
        yield from self._tool_calls(delta.get("tool_calls") or old, whole=whole)
        self._look_through(delta, _KNOWN)


def _metadata(*places: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures, which some servers give beside the choices, some inside."""
    found: dict[str, Any] = {}
    for name in _METADATA:
        given = [place[name] for place in places if isinstance(place.get(name), Mapping) and place[name]]
        if given:
            found[name] = sound(given[0])
    return found


def _is_another(index: object, place: int) -> bool:
    """Return whether a choice is another one than the first: by its index; by its place where the index is no number."""
    text = str(index)
    return text.strip("0") != "" if text.isdecimal() else place > 0


def _delta(choice: Mapping[str, Any], whole: bool) -> Mapping[str, Any]:
    """Return what a choice adds. Where a chunk has a ``delta``, a ``message`` beside it is the text so far, which was told already."""
    names = ("message", "delta") if whole else ("delta",) if "delta" in choice else ("message",)
    for name in names:
        if not is_empty(given := choice.get(name)):
            return given if isinstance(given, Mapping) else {"content": given}
    return {"content": choice["text"]} if isinstance(choice.get("text"), str) else {}
