"""A call in OpenAI's shape as a request for Ollama's ``/api/chat``: https://github.com/ollama/ollama/blob/main/docs/api.md.

========================================  ==========================================================================
OpenAI's shape                            Ollama's
========================================  ==========================================================================
text parts, image parts (data URLs)       ``content`` is one text, ``images`` are base64 data
``function.arguments``, a JSON text       an object
``tool`` with ``tool_call_id``            ``tool_name``, found by the call's id
``max_tokens``, ``max_completion_tokens`` ``options.num_predict``
``temperature``, ``top_p``, ``stop`` ...  members of ``options``
``response_format``                       ``format``: ``json``, or a schema
========================================  ==========================================================================

``think``, ``format``, ``logprobs`` and ``top_logprobs`` are Ollama's own members; ``options`` may be given as a whole. What would make the
server load the model again (``num_ctx`` ...) belongs to the instance and is refused here: it goes into the adapter's options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from statemachine.config.call import CallOptions, Message
from statemachine.config.options import copy_options
from statemachine.errors import ConfigurationError
from statemachine.foreign import ForeignJSONError, read_json

from ..http.messages import checked_headers, listed
from ..http.stream import HttpRequest

__all__ = ["RELOADING_OPTIONS", "chat_request"]

RELOADING_OPTIONS: Final = ("main_gpu", "num_batch", "num_ctx", "num_gpu", "num_thread", "use_mmap")
"""Runner options: a request that has another value than the loaded model makes the server load it again."""

CHAT_PATH: Final = "/api/chat"
_RESERVED: Final = ("keep_alive", "messages", "model", "stream", "tools")
_MEMBERS: Final = ("format", "logprobs", "think", "top_logprobs")
_RENAMED: Final[Mapping[str, str]] = {"max_completion_tokens": "num_predict", "max_tokens": "num_predict"}


def chat_request(
    model: str, prompt: Sequence[Message], options: CallOptions, runner_options: Mapping[str, Any], **more: Any
) -> HttpRequest:
    """Make the request for ``prompt``, with the instance's ``runner_options``. Raises ConfigurationError.

    It is raised also for what Ollama has no place for. ``extra_headers`` among the parameters become headers. ``more`` are members that
    the adapter adds.
    """
    names: dict[str, str] = {}  # of the tools that were called, by the call's id
    messages = [
        _message(copy_options(message, f"prompt[{index}]"), f"prompt[{index}]", names)
        for index, message in enumerate(prompt)
    ]
    parameters = dict(options.parameters)
    headers = checked_headers(parameters.pop("extra_headers", {}))
    given, members = _options(parameters)
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": options.stream, **more, **members}
    if options.tools:
        body["tools"] = list(options.tools)
    if given or runner_options:
        body["options"] = {**given, **runner_options}
    return HttpRequest(CHAT_PATH, body, headers)


def _message(message: Mapping[str, Any], path: str, names: dict[str, str]) -> dict[str, Any]:
    texts, images = _contents(message.get("content"), f"{path}.content")
    translated: dict[str, Any] = {"role": message.get("role"), "content": "\n".join(texts)}
    if images:
        translated["images"] = images
    for member in ("thinking", "tool_name"):
        if isinstance(message.get(member), str):
            translated[member] = message[member]
    if calls := listed(message, "tool_calls", path):
        given = [_call(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(calls)]
        names.update({call["id"]: call["function"]["name"] for call in given if "id" in call})
        translated["tool_calls"] = given
    if (name := names.get(str(message.get("tool_call_id")))) is not None:
        translated.setdefault("tool_name", name)
    return translated


def _contents(content: object, path: str) -> tuple[list[str], list[str]]:
    """Return the texts, and the images as base64 data."""
    if content is None or isinstance(content, str):
        return [content or ""], []
    texts, images = [], []
    for index, part in enumerate(content if isinstance(content, list) else [None]):
        image = part.get("image_url") if isinstance(part, Mapping) else None
        url = image.get("url") if isinstance(image, Mapping) else image
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(url, str) and ";base64," in url:
            images.append(url.partition(";base64,")[2])
        else:
            rule = "must be text, or an image as a data URL in base64"
            raise ConfigurationError(f"{path}[{index}]", rule, "another value")
    return texts, images


def _call(call: object, path: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise ConfigurationError(path, "must be a tool call in OpenAI's shape", "another value")
    arguments = function.get("arguments")
    try:
        value = read_json(arguments) if isinstance(arguments, str) and arguments.strip() else arguments or {}
    except ForeignJSONError:
        value = None
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{path}.function.arguments", "must be the JSON text of an object", "another value")
    named = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    return {**named, "function": {"name": function["name"], "arguments": value}}


def _options(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters as members of ``options``, and as members of the body."""
    options: dict[str, Any] = {}
    members: dict[str, Any] = {}
    for name, value in parameters.items():
        if name in _RESERVED:
            raise ConfigurationError(
                f"parameters.{name}", "is set from the call itself and must not be given", "a value"
            )
        if name == "options":
            if not isinstance(value, Mapping):
                raise ConfigurationError("parameters.options", "must be a mapping", f"a {type(value).__name__}")
            options.update(value)
        elif name == "response_format":
            members["format"] = _format(value)
        elif name in _MEMBERS:
            members[name] = value
        else:
            options[_RENAMED.get(name, name)] = value
    for name in RELOADING_OPTIONS:
        if name in options:
            rule = "makes the server load the model again: give it in adapter_options"
            raise ConfigurationError(f"parameters.{name}", rule, "a value")
    return options, members


def _format(given: object) -> object:
    """Return ``response_format`` as Ollama's ``format``: a schema, ``json``, or nothing."""
    kind = given.get("type") if isinstance(given, Mapping) else None
    if isinstance(given, Mapping) and kind == "json_schema":
        described = given.get("json_schema")
        return described.get("schema") if isinstance(described, Mapping) else None
    if kind == "json_object":
        return "json"
    if kind == "text":
        return ""
    raise ConfigurationError("parameters.response_format", "must be text, json_object or json_schema", "another value")
