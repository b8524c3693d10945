"""LM Studio's own chat, ``/api/v1/chat``: the request, made of chat messages, and its answer as events.

It alone tells how far a load and the prompt are, and takes ``reasoning`` and ``context_length`` with a call. It has neither tools of the
client's nor assistant messages in a request. What a chat calls by one name has another here: the system's messages are the
``system_prompt``, the user's are ``input``, ``max_tokens`` is ``max_output_tokens``. An answer is not kept on the server unless ``store``
says so. Source: LM Studio's documentation, ``/docs/developer/rest/chat``.

=================================================  ====================================================================================
on the wire                                        event
=================================================  ====================================================================================
``message.delta``, ``reasoning.delta``             ``token``, ``reasoning``
``model_load.progress``, ``prompt_processing...``  ``metadata``: ``{"progress": {"stage": "model_load", "done": 0.5}}``
``tool_call...``                                   none: tools that the server has called itself
``error``                                          ``error``; the ``chat.end`` that follows is not read
``chat.end``                                       what was not told in pieces; ``metadata`` (OpenAI's ``usage``, ``stats``); ``end``
=================================================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, Final

from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.errors import ConfigurationError

from ..http.client import HttpClient
from ..http.messages import chat_request
from ..http.reader import JsonAnswerReader, sound
from ..http.stream import HttpRequest, stream_answer

__all__ = ["NATIVE_CHAT_PATH", "NativeChatReader", "native_request", "stream_native_chat"]

NATIVE_CHAT_PATH: Final = "/api/v1/chat"
_PIECES: Final = {"message.delta": "token", "reasoning.delta": "reasoning"}
_ITEMS: Final = {"message": "token", "reasoning": "reasoning"}
_STOPS: Final = {
    **dict.fromkeys(("eosFound", "stopStringFound"), "stop"),
    **dict.fromkeys(("maxPredictedTokensReached", "contextLengthReached"), "length"),
    "toolCalls": "stop",  # by the server itself
    "userStopped": "cancelled",
}
"""LM Studio's words in OpenAI's. ``failed`` and ``modelUnloaded`` are errors by their own names."""


def native_request(model: str, prompt: Sequence[Message], options: CallOptions) -> HttpRequest:
    """Make the request for ``prompt``, given as chat messages, and for chat parameters. Raises ConfigurationError."""
    if options.tools:
        raise ConfigurationError("tools", 'must be empty: LM Studio\'s own chat takes none (api="chat" does)', "tools")
    chat = chat_request(model, prompt, options, path=NATIVE_CHAT_PATH)
    body: dict[str, Any] = {"store": False, **chat.body}
    body.pop("stream_options", None)
    messages = body.pop("messages")
    for old in ("max_tokens", "max_completion_tokens"):
        if old in body:
            body["max_output_tokens"] = body.pop(old)
    said = [message.get("content") for message in messages if _role(message) == "system"]
    for index, message in enumerate(messages):
        if _role(message) not in ("system", "user"):
            rule = 'must be system or user: LM Studio\'s own chat takes no other messages (api="chat" does)'
            raise ConfigurationError(f"prompt[{index}].role", rule, "another one")
    if said:
        body["system_prompt"] = "\n\n".join(map(str, said))
    body["input"] = [part for message in messages if _role(message) == "user" for part in _parts(message)]
    return HttpRequest(NATIVE_CHAT_PATH, body, chat.headers)


def stream_native_chat(http: HttpClient, request: HttpRequest) -> AsyncGenerator[StreamEvent, None]:
    """Make the request; yield the answer's events. Failures are events too: nothing but cancellation is raised."""
    return stream_answer(http, request, NativeChatReader(http, request))


class NativeChatReader(JsonAnswerReader):
    """Reads a whole answer, and the events of a streamed one."""

    def __init__(self, http: HttpClient, request: HttpRequest) -> None:
        super().__init__(http, request)
        self._told: Final[set[str]] = set()  # kinds of items of which pieces came

    def _is_piece(self, payload: Mapping[str, Any]) -> bool:
        return "output" not in payload and isinstance(payload.get("type"), str)

    def _read(self, payload: Mapping[str, Any], *, whole: bool) -> Iterator[StreamEvent]:
        kind = payload.get("type")
        if whole:
            yield from self._result(payload)
        elif kind == "chat.end":
            yield from self._result(payload.get("result"))
        elif kind in ("message.delta", "reasoning.delta"):
            self._told.add(_PIECES[kind])
            yield from self._text(payload.get("content"), "token" if kind == "message.delta" else "reasoning")
        elif isinstance(kind, str) and kind.endswith(".progress"):
            done = payload.get("progress")
            if isinstance(done, (int, float)) and not isinstance(done, bool) and 0 <= done <= 1:
                stage = sound(kind.removesuffix(".progress")[:100])
                yield StreamEvent("metadata", {"progress": {"stage": stage, "done": done}})

    def _result(self, given: object) -> Iterator[StreamEvent]:
        """Read what ends an answer, or is a whole one."""
        result = given if isinstance(given, Mapping) else {}
        output = result.get("output")
        for item in output if isinstance(output, list) else ():
            kind = _ITEMS.get(str(item.get("type"))) if isinstance(item, Mapping) else None
            if kind is not None and kind not in self._told:
                yield from self._text(item.get("content"), "token" if kind == "token" else "reasoning")
        if metadata := _metadata(result):
            yield StreamEvent("metadata", metadata)
        stopped = result.get("stats", {}).get("stop_reason") if isinstance(result.get("stats"), Mapping) else None
        yield from self._reason(_STOPS.get(str(stopped), stopped), result)
        if not self.closed:
            yield from self._done()


def _role(message: Mapping[str, Any]) -> object:
    return "system" if message.get("role") == "developer" else message.get("role")


def _parts(message: Mapping[str, Any]) -> Iterator[object]:
    """Yield the items of ``input`` for one message of the user's."""
    content = message.get("content")
    for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
        image = part.get("image_url") if isinstance(part, Mapping) else None
        if isinstance(image, Mapping):
            yield {"type": "image", "data_url": image.get("url")}
        elif isinstance(part, Mapping) and part.get("type") == "text":
            yield {"type": "message", "content": part.get("text")}
        else:
            yield part


def _metadata(result: Mapping[str, Any]) -> dict[str, Any]:
    stats = result.get("stats")
    if not isinstance(stats, Mapping) or not stats:
        return {}
    prompt, completion = (_count(stats.get(name)) for name in ("input_tokens", "total_output_tokens"))
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"usage": usage, "stats": sound(stats)}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
