"""Read what a server says of an error: its text, its type and code, the status that it means, and how long to wait.

Local servers document the happy path. An error comes with status 400, 404, 500 or 200, as an object, as a bare string, or inside a stream.
The shapes are

====================================================  =========================================
``{"error": {"message", "type", "code", "param"}}``   OpenAI's; every member may be missing
``{"error": "text"}``                                 Ollama, older LM Studio
``{"type": "error", "error": {...}}``                 Anthropic's
``[{"error": {...}}]``                                Google's
``{"detail": "text"}``, ``{"detail": [{"msg"}]}``     FastAPI's
``{"errors": [{"message", "code"}]}``                 Cloudflare's
``{"object": "error", "message", "code"}``            vLLM's
``{"message", "code", ...}`` or text                  after ``event: error`` in a stream
====================================================  =========================================
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from statemachine.checks import is_number
from statemachine.foreign import ForeignJSONError, read_json
from statemachine.text import fit_to_show

from .bounds import NAME_LIMIT_CHARACTERS, RETRY_AFTER_LIMIT_SECONDS
from .nothing import is_nothing
from .secrets import redacted

__all__ = ["ReportedError", "has_error", "read_error", "retry_after_seconds"]

_STATUS_OF_WORD: Final[Mapping[str, int]] = {
    word: status
    for status, words in (
        (400, "invalid_request_error badrequesterror bad_request invalid_argument failed_precondition"),
        (401, "unauthenticated authenticationerror unauthorized"),
        (403, "permission_denied permissiondeniederror forbidden"),
        (404, "notfounderror not_found"),
        (413, "request_too_large"),
        (429, "resource_exhausted ratelimiterror rate_limit too_many_requests"),
        (500, "server_error api_error internal internal_error internal_server_error internalservererror"),
        (502, "bad_gateway"),
        (503, "unavailable unavailable_error service_unavailable serviceunavailableerror overloaded server_overloaded"),
        (504, "timeout timeout_error deadline_exceeded gateway_timeout"),
    )
    for word in words.split()
}
"""Types and codes that servers use for a status: where no status is told, as inside a stream, they mean what it means."""
_ANSWERS: Final = ("choices", "content", "data", "delta", "models", "output", "response")
"""Members of what is an answer, whatever else it says."""
_WAITS: Final[Mapping[str, float]] = {
    "retry_after": 1.0,
    "retryAfter": 1.0,
    "retry_after_seconds": 1.0,
    "retryDelay": 1.0,
    "retry_after_ms": 1000.0,
    "retryAfterMs": 1000.0,
}
_TEXTS: Final = (
    *("message", "detail", "msg", "error_description", "error_msg", "error_message"),
    *("description", "text", "title"),
)
_STATUS_NAMES: Final = (
    *("code", "status", "status_code", "statusCode", "http_status", "httpStatus", "http_code", "httpCode"),
    *("http_status_code", "httpStatusCode", "error_code", "errorCode"),
)
_FAILED: Final = frozenset({"error", "fail", "failure"})
_WELL: Final = frozenset({"0", "200", "ok", "success"})


class ReportedError(NamedTuple):
    """What an error's body says, each word fit to show."""

    text: str
    type: str | None
    code: str | None
    param: str | None
    status: int | None  # where its code is one
    meant: int | None  # the same, or the status that its type, code or status is a word for
    retry_after: float | None  # seconds


def has_error(payload: object) -> bool:
    """Return whether a JSON answer reports an error, whatever its status."""
    if isinstance(payload, list):
        return bool(payload) and has_error(payload[0])
    if not isinstance(payload, Mapping) or not _is_no_failure(payload.get("error")):
        return isinstance(payload, Mapping)
    if "error" in (payload.get("object"), payload.get("type")):
        return True
    if any(name in payload for name in _ANSWERS):
        return False
    if False in (payload.get("success"), payload.get("ok")) or str(payload.get("status")).lower() in _FAILED:
        return True
    told = (payload.get(name) for name in ("errors", "detail", "error_msg", "error_message", "error_description"))
    return not all(map(is_nothing, told)) or _status(payload) is not None


def _is_no_failure(error: object) -> bool:
    """Return whether the member ``error`` says nothing, or that all is well."""
    if is_nothing(error) or not isinstance(error, Mapping):
        return is_nothing(error)
    return str(error.get("code")).lower() in _WELL and _said(error).lower() in ("", *_WELL)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long a head asks to wait: ``Retry-After-Ms``, or ``Retry-After`` in seconds or as a date. None where it does not say."""
    given = {name.lower(): value.strip() for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = given.get(name, "")
        if re.fullmatch(r"[0-9]{1,300}(\.[0-9]{0,300})?", value):
            return min(float(value) / scale, RETRY_AFTER_LIMIT_SECONDS)
    try:
        seconds = parsedate_to_datetime(given["retry-after"]).timestamp() - time.time()
    except (KeyError, ValueError, OverflowError, TypeError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT_SECONDS)


def read_error(payload: object, secrets: tuple[str, ...]) -> ReportedError:
    """Read the error in ``payload`` (JSON data, or text), without ``secrets``."""
    places: list[Mapping[str, Any]] = []  # the error and what stands around it, the innermost first
    error = payload
    for _ in range(5):  # a list of one, and an error inside of an error
        if isinstance(error, list) and error:
            error = error[0]
        elif isinstance(error, Mapping) and (inner := _inner(error)) is not None:
            places.insert(0, error)
            error = inner
        elif isinstance(error, Mapping) and (quoted := _quoted(error.get("message"))) is not None:
            places.insert(0, {**error, "message": None})  # which is read instead
            error = quoted
        elif (quoted := _quoted(error)) is not None:
            error = quoted
    if isinstance(error, Mapping):
        places.insert(0, error)
    told = places[0] if places else {}  # an error that is a word may have its details beside it
    texts = [error] if isinstance(error, str) else []
    if said := next(filter(None, map(_said, places)), ""):
        texts.append(said)
    where = told.get("loc")
    param = ".".join(map(str, where)) if isinstance(where, list) else told.get("param")
    kind, code, param = (_word(value, secrets) for value in (told.get("type"), told.get("code"), param))
    status = next(filter(None, map(_status, places)), None)
    words = (told.get(name) for name in ("type", "code", "status"))
    meant = status or next(filter(None, (_STATUS_OF_WORD.get(str(word).lower()) for word in words)), None)
    text = fit_to_show(redacted(": ".join(texts), secrets))
    wait = next((wait for place in places if (wait := _wait(place)) is not None), None)
    return ReportedError(text, kind, code, param, status, meant, wait)


def _wait(error: Mapping[str, Any], depth: int = 2) -> float | None:
    """Return how long an error asks to wait, in seconds: as a member of its own, or as Google has it, among its details."""
    for name, scale in _WAITS.items():
        value = error.get(name)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}(\.[0-9]{0,20})?s?", value):
            value = float(value.removesuffix("s"))
        if is_number(value) and 0 <= value < math.inf:
            return min(value / scale, RETRY_AFTER_LIMIT_SECONDS)
    details = error.get("details") or error.get("metadata")
    inner = details if isinstance(details, list) else [details]
    found = [_wait(detail, depth - 1) for detail in inner if depth and isinstance(detail, Mapping)]
    return next((wait for wait in found if wait is not None), None)


def _inner(error: Mapping[str, Any]) -> object:
    """Return the error inside of an error; None where there is none."""
    for name in ("error", "errors", "detail"):
        value = error.get(name)
        if not is_nothing(value) and (name == "error" or isinstance(value, (Mapping, list))):
            return value
    return None


def _quoted(text: object) -> Mapping[str, Any] | None:
    """Return the error that another server has said, which this one passes on as JSON in a text."""
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return None
    try:
        quoted = read_json(text)
    except ForeignJSONError:
        return None
    return quoted if isinstance(quoted, Mapping) and (has_error(quoted) or _said(quoted)) else None


def _said(value: object, depth: int = 3) -> str:
    """Return the first text in what should be a message."""
    if isinstance(value, str) or not depth:
        return value if isinstance(value, str) else ""
    if isinstance(value, Mapping):
        value = [value.get(name) for name in _TEXTS]
    return next(filter(None, (_said(item, depth - 1) for item in value)), "") if isinstance(value, list) else ""


def _word(value: object, secrets: tuple[str, ...]) -> str | None:
    """Return a type or code. A number is a status, or nothing that could be compared."""
    if not isinstance(value, str) or is_nothing(value):
        return None
    return fit_to_show(redacted(value, secrets), NAME_LIMIT_CHARACTERS)


def _status(error: Mapping[str, Any]) -> int | None:
    """Return the HTTP status that an error names: its code, where that is a number that a failure can have."""
    for name in _STATUS_NAMES:
        value = error.get(name)
        if isinstance(value, str) and re.fullmatch(r"\s*[45][0-9]{2}\s*", value):
            value = int(value)
        if isinstance(value, (int, float)) and 400 <= value <= 599:
            return int(value)
    return None
