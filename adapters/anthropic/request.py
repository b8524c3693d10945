"""A call in OpenAI's shape as a request for Anthropic's messages: https://docs.anthropic.com/en/api/messages.

================================  ==========================================================================
OpenAI's shape                    Anthropic's
================================  ==========================================================================
``system``, ``developer``         the member ``system``, in their order
``user``                          the same; image parts become blocks with a URL or with base64 data
``assistant`` with tool calls     blocks of text and of ``tool_use``; ``thinking_blocks`` stand before them
``tool``                          ``tool_result`` blocks of one user message, for all calls in a row
``tools``                         ``name``, ``description``, ``input_schema``
``stop``, ``tool_choice``         ``stop_sequences``, ``{"type": ...}``
``max_completion_tokens``         ``max_tokens``, which Anthropic wants always: 4,096 where it is not given
================================  ==========================================================================

Everything else of the parameters is passed on as it is (``temperature``, ``top_k``, ``thinking``, ...); so are tools in Anthropic's shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from statemachine.config.call import CallOptions, Message
from statemachine.config.options import copy_options
from statemachine.errors import ConfigurationError
from statemachine.foreign import ForeignJSONError, read_json

from ..http.messages import checked_headers, listed
from ..http.stream import HttpRequest

__all__ = ["DEFAULT_MAX_TOKENS", "messages_request"]

DEFAULT_MAX_TOKENS: Final = 4096
MESSAGES_PATH: Final = "/v1/messages"
_RESERVED: Final = ("messages", "model", "stream", "system", "tools")
_DATA_URL: Final = re.compile(r"data:([\w/+.-]+);base64,(.*)", re.DOTALL)
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}

Block = dict[str, Any]


def messages_request(model: str, prompt: Sequence[Message], options: CallOptions) -> HttpRequest:
    """Make the request for ``prompt``. Raises ConfigurationError, also for what Anthropic has no place for.

    ``extra_headers`` among the parameters (a mapping of header names to values) become headers, as in Anthropic's client.
    """
    for name in _RESERVED:
        if name in options.parameters:
            rule = "is set from the call itself and must not be given"
            raise ConfigurationError(f"parameters.{name}", rule, "a value")
    system, messages = _conversation(prompt)
    body: dict[str, Any] = {"model": model, "max_tokens": DEFAULT_MAX_TOKENS, "messages": messages}
    body["stream"] = options.stream
    if system:
        body["system"] = "\n\n".join(system)
    if options.tools:
        body["tools"] = [_tool(tool) for tool in options.tools]
    parameters = _parameters(options.parameters)
    headers = checked_headers(parameters.pop("extra_headers", {}))
    return HttpRequest(MESSAGES_PATH, {**body, **parameters}, headers)


def _conversation(prompt: Sequence[Message]) -> tuple[list[str], list[Block]]:
    """Return the texts of the system, and the other messages."""
    system: list[str] = []
    messages: list[Block] = []
    results: list[Block] | None = None  # of the calls in a row
    for index, given in enumerate(prompt):
        message = copy_options(given, f"prompt[{index}]")
        role = message.get("role")
        if role == "tool":
            if results is None:
                results = []
                messages.append({"role": "user", "content": results})
            results.append(_result(message))
            continue
        results = None
        if role in ("system", "developer"):
            system.append(_text(message.get("content"), f"prompt[{index}].content"))
        elif role in ("user", "assistant"):
            messages.append({"role": role, "content": _content(message, f"prompt[{index}]")})
        else:
            raise ConfigurationError(
                f"prompt[{index}].role", "must be system, developer, user, assistant or tool", "another role"
            )
    return system, messages


def _content(message: Mapping[str, Any], path: str) -> str | list[Block]:
    content, calls = message.get("content"), listed(message, "tool_calls", path)
    thinking = listed(message, "thinking_blocks", path)
    if isinstance(content, str) and not calls and not thinking:
        return content
    blocks = [_part(part, f"{path}.content[{index}]") for index, part in enumerate(_parts(content))]
    uses = [_use(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(calls)]
    return [*thinking, *blocks, *uses]


def _parts(content: object) -> Sequence[Any]:
    """Return the parts of a content. An empty text is none: Anthropic refuses an empty block."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _part(part: object, path: str) -> Block:
    if isinstance(part, Mapping):
        if part.get("type") != "image_url":
            return dict(part)
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        if isinstance(url, str):
            return {"type": "image", "source": _image_source(url)}
    raise ConfigurationError(path, "must be a part in OpenAI's or Anthropic's shape", "another value")


def _image_source(url: str) -> Block:
    if (match := _DATA_URL.fullmatch(url)) is not None:
        return {"type": "base64", "media_type": match[1], "data": match[2]}
    return {"type": "url", "url": url}


def _use(call: object, path: str) -> Block:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping):
        raise ConfigurationError(path, "must be a tool call in OpenAI's shape", "another value")
    return {
        "type": "tool_use",
        "id": call.get("id"),
        "name": function.get("name"),
        "input": _arguments(function.get("arguments"), f"{path}.function.arguments"),
    }


def _arguments(given: object, path: str) -> Mapping[str, Any]:
    """Return the object that the JSON text of a call's arguments holds; nothing is the empty object."""
    try:
        value = read_json(given) if isinstance(given, str) and given.strip() else given or {}
    except ForeignJSONError:
        value = None
    if not isinstance(value, Mapping):
        raise ConfigurationError(path, "must be the JSON text of an object", "another value")
    return value


def _result(message: Mapping[str, Any]) -> Block:
    return {
        "type": "tool_result",
        "tool_use_id": message.get("tool_call_id"),
        "content": message.get("content") or "",
    }


def _text(content: object, path: str) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
    if len(texts) < len(parts):
        raise ConfigurationError(path, "must be text, or parts of text", "another value")
    return "\n".join(texts)


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, Mapping):
        return tool
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    described = {"description": function["description"]} if function.get("description") else {}
    return {"name": function.get("name"), **described, "input_schema": schema}


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    parameters = dict(given)
    if (most := parameters.pop("max_completion_tokens", None)) is not None:
        parameters.setdefault("max_tokens", most)
    if (stop := parameters.pop("stop", None)) is not None:
        parameters["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if "tool_choice" in parameters:
        parameters["tool_choice"] = _tool_choice(parameters["tool_choice"])
    return parameters


def _tool_choice(choice: object) -> object:
    if isinstance(choice, str) and choice in _CHOICES:
        return {"type": _CHOICES[choice]}
    function = choice.get("function") if isinstance(choice, Mapping) else None
    if isinstance(function, Mapping):
        return {"type": "tool", "name": function.get("name")}
    return choice
