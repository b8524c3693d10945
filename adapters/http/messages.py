"""The request of an OpenAI-compatible chat: the prompt, the call's parameters and its tools as one JSON body."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from statemachine.config.call import CallOptions, Message
from statemachine.config.options import copy_options
from statemachine.errors import ConfigurationError

from .stream import HttpRequest

__all__ = ["CHAT_PATH", "chat_request", "checked_headers", "listed"]

CHAT_PATH: Final = "/v1/chat/completions"
_RESERVED: Final = frozenset({"messages", "model", "stream", "tools"})
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OF_THE_BODY: Final = frozenset({"content-length", "transfer-encoding"})
_HEADER_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")


def chat_request(
    model: str,
    prompt: Sequence[Message],
    options: CallOptions,
    *,
    path: str = CHAT_PATH,
    more: Mapping[str, Any] | None = None,
) -> HttpRequest:
    """Make the request for ``prompt``. Raises ConfigurationError.

    ``options.parameters`` go into the body as they are; ``model``, ``messages``, ``stream`` and ``tools`` are refused there, and
    ``extra_headers`` (a mapping of header names to values) become headers, as in OpenAI's client. A stream is asked for its usage.
    ``more`` are members that the adapter adds; a parameter of the same name goes before.
    """
    for name in sorted(_RESERVED & options.parameters.keys()):
        raise ConfigurationError(f"parameters.{name}", "is set from the call itself and must not be given", "a value")
    parameters = dict(options.parameters)
    headers = checked_headers(parameters.pop("extra_headers", {}))
    messages = [copy_options(message, f"prompt[{index}]") for index, message in enumerate(prompt)]
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": options.stream, **(more or {})}
    if options.stream:
        body["stream_options"] = {"include_usage": True}
    if options.tools:
        body["tools"] = list(options.tools)
    return HttpRequest(path, {**body, **parameters}, headers)


def checked_headers(given: object) -> dict[str, str]:
    """Check and return the ``extra_headers`` of one call. Raises ConfigurationError."""
    if not isinstance(given, Mapping):
        rule = "must be a mapping of header names to values"
        raise ConfigurationError("parameters.extra_headers", rule, f"a {type(given).__name__}")
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError("parameters.extra_headers", "names must be HTTP header names", "another name")
        if name.lower() in _OF_THE_BODY:
            rule = "is set from the body itself and must not be given"
            raise ConfigurationError(f"parameters.extra_headers.{name}", rule, "a value")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            rule = "must be printable ASCII without blanks around it"
            raise ConfigurationError(f"parameters.extra_headers.{name}", rule, f"a {type(value).__name__}")
    return dict(given)


def listed(message: Mapping[str, Any], name: str, path: str) -> Sequence[Any]:
    """Return a member of the message at ``path`` that must be a list where there is one. Raises ConfigurationError."""
    value = message.get(name) or ()
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"{path}.{name}", "must be a list", f"a {type(value).__name__}")
    return value
