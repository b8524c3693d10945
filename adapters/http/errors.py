"""What a server's error answer means: (status, body, head) -> AdapterError.

The same failure comes in many ways, see :mod:`.error_body`. So the code or type decides first, then the status (which an error inside a
stream may name by its code), and the text only where neither says anything. The table of texts is from the servers' issue trackers.

What a server said is in the error's fields ``status``, ``type``, ``code`` and ``param``; where it says something known in words only, the
code is the one of the table. A message shows the server's text, because that is what helps, but never a secret: those that were
sent are blotted out, and what a server says about credentials is left out altogether.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

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

from .error_body import ReportedError, read_error, retry_after_seconds
from .library import httpx

__all__ = ["adapter_error", "connection_error"]

_BY_WORD: Final[Mapping[str, type[AdapterError]]] = {
    "authentication_error": AuthenticationError,
    "invalid_api_key": AuthenticationError,
    "permission_error": AuthenticationError,
    "deploymentnotfound": ModelNotFoundError,
    "model_not_found": ModelNotFoundError,
    "not_found_error": ModelNotFoundError,
    "model_load_failed": ModelLoadError,
    "context_length_exceeded": ContextLengthError,
    "exceed_context_size_error": ContextLengthError,
    "insufficient_quota": AdapterRequestError,
    "billing_hard_limit_reached": AdapterRequestError,
    "billing_not_active": AdapterRequestError,
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
    529: AdapterBusyError,
}
_NEVER_BETTER: Final = frozenset({501, 505})
"""Failures of the server that repeating does not mend."""

_BY_TEXT: Final[tuple[tuple[re.Pattern[str], type[AdapterError], str | None], ...]] = tuple(
    (re.compile(pattern), kind, code)
    for pattern, kind, code in (
        ("unexpected endpoint or method", AdapterProtocolError, "unexpected_endpoint"),
        (
            r"model limit reached|(server|model) (is )?busy|try again later|overloaded|too many requests|rate limit",
            AdapterBusyError,
            None,
        ),
        (r"model (is )?already (running|loaded)|already exists", AdapterRequestError, "model_already_running"),
        (
            "failed to load|error loading model|model loading was stopped|insufficient system resources"
            "|requires more system memory",
            ModelLoadError,
            None,
        ),
        (
            r"model (is |was |has been )?unloaded|model has crashed|is not loaded|model is not running",
            ModelEvictedError,
            None,
        ),
        (
            r"context (the )?(length|size|window|overflow|limit)|tokens to keep from the initial prompt|n_ctx"
            r"|maximum model length"
            r"|(prompt|input) is too long|token count .{0,40}exceeds",
            ContextLengthError,
            None,
        ),
        (
            r"invalid model identifier|no models? loaded|model \S+ (was not found|not found|does not exist)|not a valid model",
            ModelNotFoundError,
            None,
        ),
    )
)


def adapter_error(
    status: int | None,
    payload: object,
    *,
    server: str,
    headers: Mapping[str, str] | None = None,
    secrets: Iterable[str] = (),
    otherwise: type[AdapterError] = AdapterError,
) -> AdapterError:
    """Make the error that ``payload`` (JSON data, or text) reports.

    ``status`` is None inside a stream. ``server`` is its public URL. ``headers`` (names in any case) may say when to try again, else
    the body may. ``otherwise`` is what an unknown failure of the server is taken for.
    """
    report = read_error(payload, tuple(secrets))
    told = status
    if report.status is not None and (status is None or 200 <= status < 300):
        status = report.status
    meant = status if status is not None and not 200 <= status < 300 else report.meant
    known, code = _kind(meant, report)
    kind = known or otherwise
    told_to_wait = None if headers is None else retry_after_seconds(headers)
    passing = known is None and meant is not None and meant >= 500 and meant not in _NEVER_BETTER
    return kind(
        _message(server, told, report, kind),
        retryable=True if passing else None,
        status=status,
        type=report.type,
        code=report.code or code,
        param=report.param,
        retry_after=told_to_wait if told_to_wait is not None else report.retry_after,
    )


def connection_error(error: Exception, *, server: str) -> AdapterError:
    """Make the error that a failure below the answer means. It shows its type only: its text may hold what was sent."""
    what = f"{server}: {type(error).__name__}"
    never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return AdapterTimeoutError(what)
    if isinstance(error, (httpx.DecodingError, httpx.TooManyRedirects)):
        return AdapterProtocolError(what)
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)):
        return AdapterRequestError(what)
    lost = AdapterConnectError(what)
    lost.sent = not never_sent
    return lost


def _kind(status: int | None, report: ReportedError) -> tuple[type[AdapterError] | None, str | None]:
    """Return the class of the error (None: it says nothing known), and its code where it is known by its text alone."""
    for word in (report.type, report.code):
        if word is not None and word.lower() in _BY_WORD:
            return _BY_WORD[word.lower()], None
    if status is not None and status in _BY_STATUS:
        return _BY_STATUS[status], None
    text = report.text.lower()
    for pattern, kind, code in _BY_TEXT:
        if pattern.search(text):
            return kind, code
    if status is not None and 300 <= status < 500:
        return (AdapterProtocolError if status < 400 else AdapterRequestError), None
    return None, None


def _message(server: str, status: int | None, report: ReportedError, kind: type[AdapterError]) -> str:
    details = [*([] if status is None else [f"status {status}"]), *filter(None, (report.type, report.code))]
    text = report.text or "an error without a message"
    if issubclass(kind, AuthenticationError):
        text = "the credentials are refused"
    return f"{server}: {text} ({', '.join(details)})" if details else f"{server}: {text}"
