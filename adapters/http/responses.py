"""OpenAI's ``/v1/responses``: the request, made of chat messages, and its answer as events.

What a chat calls by one name has another here: messages are input items, a tool's result is an item of its own, ``max_tokens`` is
``max_output_tokens``. The answer is a stream of typed events, of which those count that bring text, reasoning, tool calls and the end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, Final, TypeGuard

from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.errors import AdapterError, ConfigurationError, TruncatedStreamError

from .client import HttpClient
from .error_body import has_error
from .messages import chat_request
from .nothing import is_empty
from .parts import Kind
from .reader import JsonAnswerReader, sound
from .stream import HttpRequest, stream_answer

__all__ = ["RESPONSES_PATH", "ResponsesReader", "responses_request", "stream_responses"]

RESPONSES_PATH: Final = "/v1/responses"
_LATE_TEXTS: Final[Mapping[str, Kind]] = {
    "response.output_text.done": "token",
    "response.refusal.done": "token",
    "response.content_part.done": "token",
    "response.reasoning_text.done": "reasoning",
    "response.reasoning_summary_text.done": "reasoning",
}
"""Events that tell as a whole what came in pieces, from servers that send no pieces."""
_INDEX_BYTES: Final = 64  # in memory
_PARTS: Final = {"text": "input_text", "image_url": "input_image"}


def responses_request(
    model: str, prompt: Sequence[Message], options: CallOptions, *, path: str = RESPONSES_PATH
) -> HttpRequest:
    """Make the request for ``prompt``, given as chat messages, and for chat parameters. Raises ConfigurationError."""
    if "input" in options.parameters:
        raise ConfigurationError("parameters.input", "is set from the call itself and must not be given", "a value")
    chat = chat_request(model, prompt, options)
    body = dict(chat.body)
    body.pop("stream_options", None)
    body["input"] = [item for message in body.pop("messages") for item in _items(message)]
    for old in ("max_tokens", "max_completion_tokens"):
        if old in body:
            body["max_output_tokens"] = body.pop(old)
    if "tools" in body:
        body["tools"] = [_tool(tool) for tool in body["tools"]]
    return HttpRequest(path, body, chat.headers)


def stream_responses(http: HttpClient, request: HttpRequest) -> AsyncGenerator[StreamEvent, None]:
    """Make the request; yield the answer's events. Failures are events too: nothing but cancellation is raised."""
    return stream_answer(http, request, ResponsesReader(http, request))


class ResponsesReader(JsonAnswerReader):
    """Reads a whole response, and the events of a streamed one. An item without pieces is read where it is told as a whole."""

    def __init__(self, http: HttpClient, request: HttpRequest) -> None:
        super().__init__(http, request)
        self._told: Final[set[int | str | None]] = set()  # items whose pieces came, by place in the output and by id
        self._late: Final[
            dict[tuple[int | None, int | None], tuple[Kind, object, object]]
        ] = {}  # parts told as a whole

    def _read(self, payload: Mapping[str, Any], *, whole: bool) -> Iterator[StreamEvent]:
        kind = payload.get("type")
        if whole:
            for index, item in enumerate(_list(payload.get("output"))):
                yield from self._item(item, index)
            if not self._answered:
                yield from self._text(payload.get("output_text"))
            yield from self._closing(payload)
        elif isinstance(kind, str):
            yield from self._event(kind, payload)

    def _is_piece(self, payload: Mapping[str, Any]) -> bool:
        kind = payload.get("type")
        return isinstance(kind, str) and kind.startswith("response.")

    def _event(self, kind: str, payload: Mapping[str, Any]) -> Iterator[StreamEvent]:
        index, item = _index(payload.get("output_index")), _mapping(payload.get("item"))
        if kind.endswith(".delta"):
            self._tell(index, payload.get("item_id"))
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            yield from self._text(payload.get("delta"))
        elif kind in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
            yield from self._text(payload.get("delta"), "reasoning")
        elif kind == "response.output_item.added" and item.get("type") == "function_call":
            yield from self._item(item, index, whole=False)
        elif kind in _LATE_TEXTS:
            self._note_late(kind, payload, index)
        elif kind == "response.function_call_arguments.done" and self._is_untold(index, payload.get("item_id")):
            self._tell(index, payload.get("item_id"))
            yield from self._tool_calls([{"index": index, "function": {"arguments": payload.get("arguments")}}])
        elif kind == "response.output_item.done":
            yield from self._untold(item, index)
        elif kind == "response.function_call_arguments.delta":
            yield from self._tool_calls([{"index": index, "function": {"arguments": payload.get("delta")}}])
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            response = _mapping(payload.get("response"))
            for place, item in enumerate(_list(response.get("output"))):
                yield from self._untold(item, place)
            yield from self._late_texts()
            yield from self._closing(response)
            if not self.closed:
                yield from self._done()

    def _untold(self, item: object, index: int | None) -> Iterator[StreamEvent]:
        item_id = _mapping(item).get("id")
        if self._is_untold(index, item_id):
            self._tell(index, item_id)
            yield from self._item(item, index)

    def _is_untold(self, index: int | None, item_id: object) -> bool:
        """Return whether no piece has come of the item at that place, or with that id."""
        return None not in self._told and index not in self._told and not (_is_id(item_id) and item_id in self._told)

    def _note_late(self, kind: str, payload: Mapping[str, Any], index: int | None) -> None:
        """Note a part of an item, told as a whole: it counts where no piece of it comes, and the item is not told either."""
        name = next((name for name in ("text", "refusal", "part") if not is_empty(payload.get(name))), None)
        item_id = payload.get("item_id")
        if name is not None and self._is_untold(index, item_id):
            self._keep(_INDEX_BYTES + len(str(payload[name])))
            place = (index, _index(payload.get("content_index")))
            self._late[place] = (_LATE_TEXTS[kind], payload[name], item_id)

    def _late_texts(self) -> Iterator[StreamEvent]:
        for (index, _), (kind, text, item_id) in self._late.items():
            nowhere = index is None and not _is_id(item_id)  # it may be of any item
            if self._is_untold(index, item_id) and not (nowhere and self._told):
                yield from self._text(text, kind)

    def _tell(self, index: int | None, item_id: object) -> None:
        for name in (index, item_id) if _is_id(item_id) else (index,):
            if name not in self._told:
                self._keep(_INDEX_BYTES + (len(name) if isinstance(name, str) else 0))
                self._told.add(name)

    def _item(self, item: object, index: int | None, *, whole: bool = True) -> Iterator[StreamEvent]:
        """Read one item of the output. The server's tools, which it has called itself, are none of ours."""
        given = _mapping(item)
        if given.get("type") == "message":
            yield from self._text(given.get("content"))
        elif given.get("type") == "reasoning":
            yield from self._text(given.get("content") or given.get("summary"), "reasoning")
        elif given.get("type") == "function_call":
            function = {"name": given.get("name"), "arguments": given.get("arguments")}
            yield from self._tool_calls(
                [{"index": index, "id": given.get("call_id"), "function": function}], whole=whole
            )
        else:
            self._look_through({str(given.get("type")): given}, ())

    def _closing(self, response: Mapping[str, Any]) -> Iterator[StreamEvent]:
        """Read the usage, and what the status says."""
        if not is_empty(usage := response.get("usage")):
            yield StreamEvent("metadata", {"usage": sound(usage)})
        status = response.get("status")
        if has_error(response):
            yield from self._reported(response)
        elif status == "incomplete":
            reason = _mapping(response.get("incomplete_details")).get("reason")
            self._complete("length" if reason in ("max_output_tokens", None) else str(reason))
        elif status in ("in_progress", "queued"):
            yield from self._failed(
                TruncatedStreamError(f"{self._http.server}: the server says that the answer is {status}")
            )
        elif status in ("failed", "cancelled"):
            yield from self._failed(AdapterError(f"{self._http.server}: the server says that the answer is {status}"))
        elif status == "completed":
            self._complete("tool_calls" if self._calls.count else "stop")


def _items(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the input items of one chat message."""
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": content}
        return
    if not is_empty(content):
        yield {"role": role, "content": [_part(part) for part in content] if isinstance(content, list) else content}
    for call in _list(message.get("tool_calls")):
        function = _mapping(call.get("function"))
        names = {"name": function.get("name"), "arguments": function.get("arguments")}
        yield {"type": "function_call", "call_id": call.get("id"), **names}


def _part(part: object) -> object:
    if not isinstance(part, Mapping) or part.get("type") not in _PARTS:
        return part
    image = part.get("image_url")
    url = {"image_url": image.get("url")} if isinstance(image, Mapping) else {}
    return {**part, "type": _PARTS[part["type"]], **url}


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a tool's definition, whose members stand one level higher here."""
    function = tool.get("function")
    return {"type": tool.get("type"), **function} if isinstance(function, Mapping) else tool


def _index(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    given = value if isinstance(value, list) else [value]
    return [item for item in given if isinstance(item, Mapping)]
