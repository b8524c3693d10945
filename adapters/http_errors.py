"""What a server's error answer means: (status, body) -> AdapterError.

Local servers document the happy path. The same failure comes with status 400, 404, 500 or 200, as an object, as a bare string, or inside
a stream. So the code or type decides first, then the status, and the text only where neither says anything. The table of texts
is from the servers' issue trackers; the shapes are

====================================================  =========================================
``{"error": {"message", "type", "code", "param"}}``   OpenAI's; every member may be missing
``{"error": "text"}``                                 Ollama, older LM Studio
``{"type": "error", "error": {...}}``                 Anthropic's
``{"message", "code", ...}`` or text                  after ``event: error`` in a stream
====================================================  =========================================

A message shows the server's text, because that is what helps, but never a secret: those that were sent are blotted out, and what a
server says about credentials is left out altogether.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import httpx

from statemachine.errors import (
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    AuthenticationError,
    ContextLengthError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
)

__all__ = ["adapter_error", "connection_error", "has_error"]

TEXT_LIMIT: Final = 500

_BY_WORD: Final[Mapping[str, type[AdapterError]]] = {
    "authentication_error": AuthenticationError,
    "invalid_api_key": AuthenticationError,
    "permission_error": AuthenticationError,
    "model_not_found": ModelNotFoundError,
    "model_load_failed": ModelLoadError,
    "context_length_exceeded": ContextLengthError,
    "exceed_context_size_error": ContextLengthError,
    "concurrency_limit": AdapterBusyError,
    "overloaded_error": AdapterBusyError,
    "rate_limit_error": AdapterBusyError,
    "rate_limit_exceeded": AdapterBusyError,
}

_BY_STATUS: Final[Mapping[int, type[AdapterError]]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    408: AdapterTimeoutError,
    429: AdapterBusyError,
    503: AdapterBusyError,
    504: AdapterTimeoutError,
}

_BY_TEXT: Final[tuple[tuple[re.Pattern[str], type[AdapterError]], ...]] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        ("unexpected endpoint or method", AdapterProtocolError),
        ("failed to load|error loading model|model loading was stopped|insufficient system resources", ModelLoadError),
        (r"model (is |was |has been )?unloaded|model has crashed|is not loaded", ModelEvictedError),
        (
            r"context (the )?(length|size|window|overflow)|tokens to keep from the initial prompt|n_ctx",
            ContextLengthError,
        ),
        (r"invalid model identifier|no models? loaded|model \S+ (was )?not found", ModelNotFoundError),
    )
)


class _Report(NamedTuple):
    text: str
    words: tuple[str, ...]  # its type and code


def has_error(payload: object) -> bool:
    """Whether a JSON answer reports an error, whatever its status."""
    return isinstance(payload, Mapping) and payload.get("error") not in (None, False)


def adapter_error(
    status: int | None,
    payload: object,
    *,
    server: str,
    secrets: Iterable[str] = (),
    otherwise: type[AdapterError] = AdapterError,
) -> AdapterError:
    """The error that ``payload`` (JSON data, or text) reports.

    ``status`` is None inside a stream. ``server`` is its public URL. ``otherwise`` is what an unknown failure of the server is taken for.
    """
    report = _read(payload, tuple(secrets))
    kind = _kind(status, report, otherwise)
    details = [*([] if status is None else [f"status {status}"]), *report.words]
    text = report.text or "an error without a message"
    if issubclass(kind, AuthenticationError):
        text = "the credentials are refused"
    shown = f"{text[:TEXT_LIMIT]} ({', '.join(details)})" if details else text[:TEXT_LIMIT]
    message = f"{server}: {shown}"
    if kind is otherwise and status is not None and status >= 500:
        return kind(message, retryable=True)
    return kind(message)


def connection_error(error: httpx.HTTPError, *, server: str) -> AdapterError:
    """What a failure below the answer means. Shows its type only: its text may hold what was sent."""
    what = f"{server}: {type(error).__name__}"
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return AdapterTimeoutError(what)
    if isinstance(error, (httpx.DecodingError, httpx.TooManyRedirects)):
        return AdapterProtocolError(what)
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
        return AdapterRequestError(what)
    return AdapterConnectError(what)


def _kind(status: int | None, report: _Report, otherwise: type[AdapterError]) -> type[AdapterError]:
    for word in report.words:
        if word in _BY_WORD:
            return _BY_WORD[word]
    if status is not None and status in _BY_STATUS:
        return _BY_STATUS[status]
    text = report.text.lower()
    for pattern, kind in _BY_TEXT:
        if pattern.search(text):
            return kind
    if status is not None and 300 <= status < 400:
        return AdapterProtocolError
    if status is not None and 400 <= status < 500:
        return AdapterRequestError
    return otherwise


def _read(payload: object, secrets: tuple[str, ...]) -> _Report:
    outer: Mapping[str, Any] = payload if isinstance(payload, Mapping) else {}
    error = outer["error"] if has_error(outer) else payload
    if not isinstance(error, Mapping):
        return _Report(_line(error, secrets), ())
    words = [_line(error.get(name), secrets).lower() for name in ("type", "code")]
    return _Report(_line(error.get("message") or outer.get("message"), secrets), tuple(filter(None, words)))


def _line(text: object, secrets: tuple[str, ...]) -> str:
    if not isinstance(text, str):
        return ""
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(text.split())
