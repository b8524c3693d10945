"""What a server's error is read as, member by member: its class, its whole text, its fields, and how long it asks to wait."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from adapters.http import adapter_error, has_error, retry_after_seconds
from adapters.http.errors import connection_error
from statemachine import AdapterError, AuthenticationError, ModelLoadError

DAY = 86_400


def read(payload: object, status: int | None = None, **more: Any) -> AdapterError:
    return adapter_error(status, payload, server="S", **more)


def told(payload: object, status: int | None = None, **more: Any) -> tuple[str, str]:
    """The class and the text."""
    error = read(payload, status, **more)
    return type(error).__name__, str(error)


# ---- which class ----


@pytest.mark.parametrize("member", ["type", "code"])
@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("authentication_error", "AuthenticationError"),
        ("invalid_api_key", "AuthenticationError"),
        ("permission_error", "AuthenticationError"),
        ("DeploymentNotFound", "ModelNotFoundError"),
        ("model_not_found", "ModelNotFoundError"),
        ("not_found_error", "ModelNotFoundError"),
        ("model_load_failed", "ModelLoadError"),
        ("context_length_exceeded", "ContextLengthError"),
        ("exceed_context_size_error", "ContextLengthError"),
        ("insufficient_quota", "AdapterRequestError"),
        ("billing_hard_limit_reached", "AdapterRequestError"),
        ("billing_not_active", "AdapterRequestError"),
        ("concurrency_limit", "AdapterBusyError"),
        ("overloaded_error", "AdapterBusyError"),
        ("rate_limit_error", "AdapterBusyError"),
        ("Rate_Limit_Exceeded", "AdapterBusyError"),
    ],
)
def test_a_known_word_decides_before_status_and_text(member: str, word: str, kind: str) -> None:
    for status in (None, 200, 400, 429, 500):
        error = read({"error": {"message": "failed to load", member: word}}, status)
        assert type(error).__name__ == kind
        assert getattr(error, member) == word


@pytest.mark.parametrize("member", ["type", "code", "status"])
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (
            "invalid_request_error badrequesterror bad_request INVALID_ARGUMENT failed_precondition",
            "AdapterRequestError",
        ),
        ("UNAUTHENTICATED authenticationerror unauthorized", "AuthenticationError"),
        ("PERMISSION_DENIED permissiondeniederror forbidden", "AuthenticationError"),
        ("NotFoundError NOT_FOUND", "AdapterRequestError"),
        ("request_too_large", "AdapterRequestError"),
        ("RESOURCE_EXHAUSTED RateLimitError rate_limit too_many_requests", "AdapterBusyError"),
        ("server_error api_error INTERNAL internal_error internal_server_error InternalServerError", "AdapterError"),
        ("not_supported_error UNIMPLEMENTED", "AdapterError"),
        ("bad_gateway", "AdapterError"),
        ("UNAVAILABLE unavailable_error service_unavailable ServiceUnavailableError overloaded", "AdapterBusyError"),
        ("server_overloaded", "AdapterBusyError"),
        ("timeout timeout_error DEADLINE_EXCEEDED gateway_timeout", "AdapterTimeoutError"),
    ],
)
def test_a_word_for_a_status_means_it_where_no_status_is_told(member: str, words: str, kind: str) -> None:
    passing = {"AdapterBusyError", "AdapterTimeoutError"}
    never = {"not_supported_error", "UNIMPLEMENTED"}
    for word in words.split():
        error = read({"error": {"message": "m", member: word}})
        assert (type(error).__name__, error.status) == (kind, None)
        assert error.retryable == (kind in passing or (kind == "AdapterError" and word not in never))
        assert type(read({"error": {"message": "m", member: word}}, 200)).__name__ == kind
        assert type(read({"error": {"message": "m", member: word}}, 418)).__name__ == "AdapterRequestError"


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (301, "AdapterProtocolError", False), (399, "AdapterProtocolError", False), (300, "AdapterProtocolError", False),
        (400, "AdapterRequestError", False), (402, "AdapterRequestError", False), (404, "AdapterRequestError", False),
        (499, "AdapterRequestError", False), (401, "AuthenticationError", False), (403, "AuthenticationError", False),
        (408, "AdapterTimeoutError", True), (429, "AdapterBusyError", True), (503, "AdapterBusyError", True),
        (504, "AdapterTimeoutError", True), (529, "AdapterBusyError", True), (500, "AdapterError", True),
        (502, "AdapterError", True), (599, "AdapterError", True), (501, "AdapterError", False), (505, "AdapterError", False),
        (100, "AdapterError", False), (299, "AdapterError", False), (200, "AdapterError", False), (None, "AdapterError", False),
    ],
)  # fmt: skip
def test_a_status_decides_where_no_word_is_known(status: int | None, kind: str, retryable: bool) -> None:
    error = read("m", status)
    assert (type(error).__name__, error.retryable, error.status) == (kind, retryable, status)
    assert str(error) == ("S: the credentials are refused" if kind.startswith("Auth") else "S: m") + (
        "" if status is None else f" (status {status})"
    )
    if status is not None and status >= 400:
        for code in (status, float(status), str(status), f" {status} "):
            for name in ("code", "status", "status_code", "statusCode"):
                inside = read({"error": {"message": "m", name: code}}, 200)
                assert (type(inside).__name__, inside.retryable, inside.status) == (kind, retryable, status)


@pytest.mark.parametrize(
    "code", [399, 600, 0, -429, True, "4290", "429x", "x429", "", None, [429], 399.9, 600.5, "329", "629"]
)
def test_a_number_that_is_no_status_of_a_failure(code: object) -> None:
    error = read({"error": {"message": "m", "code": code, "status": code}}, 200)
    assert (type(error), error.status, error.retryable) == (AdapterError, 200, False)


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("Unexpected endpoint or method. (POST /x)", "AdapterProtocolError", "unexpected_endpoint"),
        ("Model limit reached", "AdapterBusyError", None),
        ("the server busy", "AdapterBusyError", None),
        ("Server is busy", "AdapterBusyError", None),
        ("model busy", "AdapterBusyError", None),
        ("The model is busy", "AdapterBusyError", None),
        ("please Try again later", "AdapterBusyError", None),
        ("we are overloaded", "AdapterBusyError", None),
        ("Too many requests", "AdapterBusyError", None),
        ("Rate limit hit", "AdapterBusyError", None),
        ("Model is already running", "AdapterRequestError", "model_already_running"),
        ("model is already loaded", "AdapterRequestError", "model_already_running"),
        ("it already exists", "AdapterRequestError", "model_already_running"),
        ("Failed to load x", "ModelLoadError", None),
        ("Error loading model", "ModelLoadError", None),
        ("Model loading was stopped", "ModelLoadError", None),
        ("insufficient system resources", "ModelLoadError", None),
        ("model requires more system memory (9 GiB)", "ModelLoadError", None),
        ("Model unloaded", "ModelEvictedError", None),
        ("model is unloaded", "ModelEvictedError", None),
        ("model was unloaded", "ModelEvictedError", None),
        ("model has been unloaded", "ModelEvictedError", None),
        ("The model has crashed", "ModelEvictedError", None),
        ("x is not loaded", "ModelEvictedError", None),
        ("Model is not running", "ModelEvictedError", None),
        ("context length", "ContextLengthError", None),
        ("exceeds the context the size", "ContextLengthError", None),
        ("context window", "ContextLengthError", None),
        ("context overflow", "ContextLengthError", None),
        ("tokens to keep from the initial prompt", "ContextLengthError", None),
        ("more than n_ctx", "ContextLengthError", None),
        ("exceeds the maximum model length of 9", "ContextLengthError", None),
        ("Prompt is too long", "ContextLengthError", None),
        ("input is too long", "ContextLengthError", None),
        ("token count of 9 exceeds 8", "ContextLengthError", None),
        ("token count " + "x" * 40 + "exceeds", "ContextLengthError", None),
        ("token count " + "x" * 41 + "exceeds", "AdapterRequestError", None),
        ("Invalid model identifier", "ModelNotFoundError", None),
        ("No model loaded", "ModelNotFoundError", None),
        ("No models loaded", "ModelNotFoundError", None),
        ("model 'x' was not found", "ModelNotFoundError", None),
        ("model x not found", "ModelNotFoundError", None),
        ("model x does not exist", "ModelNotFoundError", None),
        ("x is not a valid model", "ModelNotFoundError", None),
        ("models not found", "AdapterRequestError", None),
        ("something else", "AdapterRequestError", None),
    ],
)
def test_known_words_decide_where_nothing_else_does(text: str, kind: str, code: str | None) -> None:
    error = read({"error": text}, 400)
    assert (type(error).__name__, error.code, str(error)) == (kind, code, f"S: {text} (status 400)")
    assert read({"error": {"message": text, "code": "own"}}, 400).code == "own"
    assert type(read({"error": text}, 503)).__name__ == "AdapterBusyError"


def test_an_unknown_failure_is_what_the_caller_takes_it_for() -> None:
    for status, kind, retryable in (
        (500, ModelLoadError, True),
        (501, ModelLoadError, False),
        (None, ModelLoadError, False),
    ):
        error = read("m", status, otherwise=ModelLoadError)
        assert (type(error), error.retryable) == (kind, retryable)
    assert not read({"error": {"type": "model_load_failed"}}, 500, otherwise=AdapterError).retryable


# ---- text and members ----


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("m", "m"),
        ("", "an error without a message"),
        (None, "an error without a message"),
        (7, "an error without a message"),
        ([], "an error without a message"),
        ({}, "an error without a message"),
        ({"error": None}, "an error without a message"),
        ({"error": "m"}, "m"),
        ({"error": {"message": "m"}}, "m"),
        ({"error": {"message": ""}}, "an error without a message"),
        ([{"error": {"message": "m"}}, {"error": {"message": "n"}}], "m"),
        ({"error": ["m", "n"]}, "m"),
        ({"error": {"error": {"error": {"message": "m"}}}}, "m"),
        ({"error": {"error": "m"}}, "m"),
        ({"detail": "m"}, "m"),
        ({"detail": [{"loc": ["body", "x"], "msg": "m"}]}, "m"),
        ({"detail": {"message": "m"}}, "m"),
        ({"errors": [{"message": "m"}]}, "m"),
        ({"errors": "m"}, "an error without a message"),
        ({"object": "error", "message": "m"}, "m"),
        ({"message": "m", "detail": "n"}, "m"),
        ({"detail": "m", "msg": "n"}, "m"),
        ({"msg": "m", "error_description": "n"}, "m"),
        ({"error_description": "m", "error_msg": "n"}, "m"),
        ({"error_msg": "m", "error_message": "n"}, "m"),
        ({"error_message": "m", "description": "n"}, "m"),
        ({"description": "m", "text": "n"}, "m"),
        ({"text": "m", "title": "n"}, "m"),
        ({"title": "m"}, "m"),
        ({"error": "invalid", "message": "m"}, "invalid: m"),
        ({"error": "invalid", "error_description": "m"}, "invalid: m"),
        ({"error": {"code": 7}, "message": "m"}, "m"),
        ({"error": {"message": "m"}, "message": "n"}, "m"),
        ({"error": {"error": {"code": 7}}, "message": "m"}, "m"),
        ({"message": {"text": "m"}}, "m"),
        ({"message": [{"text": "m"}, "n"]}, "m"),
        ({"message": [["m"]]}, "m"),
        ({"message": [[["m"]]]}, "an error without a message"),
        ({"message": 7, "title": "m"}, "m"),
        ({"error": "a\n b\u0000"}, "a b\\x00"),
        ({"error": "x" * 600}, "x" * 499 + "\u2026"),
    ],
)
def test_the_text_of_an_error(payload: object, text: str) -> None:
    assert told(payload) == ("AdapterError", f"S: {text}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"error": {"message": "m", "code": "c"}}', "m (c)"),
        (' {"message": "m"}', "m"),
        ('{"error": {"message": ""}, "code": 400}', "an error without a message"),
        ('{"a": 1}', '{"a": 1}'),
        ('{"error"', '{"error"'),
        ("[1]", "[1]"),
    ],
)
def test_an_error_that_is_quoted_as_json_in_a_text(text: str, shown: str) -> None:
    for payload in (text, {"error": text}, {"error": {"message": text}}, {"error": {"error": {"message": text}}}):
        assert str(read(payload)) == f"S: {shown}"


def test_what_stands_beside_a_quoted_error_counts_too() -> None:
    for quoted in ('{"message": "m"}', '{"error": {"message": "m"}}', '{"error": "m"}'):
        for around in ({}, {"retry_after": 7}):
            error = read({"error": {"message": quoted, "code": 503, "retry_after": 3}, **around}, 200)
            assert (str(error), error.status, error.retry_after) == ("S: m (status 200)", 503, 3.0)


def test_an_error_inside_of_errors_is_looked_for_so_far() -> None:
    inside: Any = "m"
    for depth in range(1, 8):
        inside = {"error": inside}
        assert str(read(inside)) == ("S: m" if depth <= 5 else "S: an error without a message")


def test_members_of_an_error() -> None:
    error = read({"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}, 400)
    assert (str(error), error.type, error.code, error.param) == ("S: m (status 400, t, c)", "t", "c", "p")
    nothing = read({"error": {"message": "m", "type": "null", "code": " ", "param": None}}, 400)
    assert (str(nothing), nothing.type, nothing.code, nothing.param) == ("S: m (status 400)", None, None, None)
    odd = read({"error": {"message": "m", "type": 7, "code": ["c"], "param": {"p": 1}}})
    assert (str(odd), odd.type, odd.code, odd.param) == ("S: m", None, None, None)
    assert (read({"error": "m", "type": "t", "code": "c"}).type, read({"error": "m", "code": "c"}).code) == ("t", "c")
    assert str(read({"error": {"message": "m", "type": "t"}})) == "S: m (t)"
    assert read({"detail": [{"loc": ["body", "x", 0], "msg": "m"}]}).param == "body.x.0"
    assert read({"error": {"loc": "x", "param": "p"}}).param == "p"
    for name in ("type", "code", "param"):
        long = read({"error": {"message": "m", name: "x" * 101}})
        assert getattr(long, name) == "x" * 99 + "\u2026"
        assert getattr(read({"error": {name: "x" * 100}}), name) == "x" * 100


def test_no_secret_is_shown_in_any_member() -> None:
    given = {"message": "a SECRET-1 b", "type": "t SECRET-1", "code": "c SECRET-2", "param": "p SECRET-2"}
    error = read({"error": given}, 400, secrets=iter(["SECRET-1", "SECRET-2"]))
    assert str(error) == "S: a *** b (status 400, t ***, c ***)"
    assert (error.type, error.code, error.param) == ("t ***", "c ***", "p ***")
    refused = read({"error": {"message": "key abc", "type": "authentication_error"}}, 401)
    assert str(refused) == "S: the credentials are refused (status 401, authentication_error)"
    assert isinstance(refused, AuthenticationError)


def test_the_status_inside_counts_where_the_answer_has_a_good_one() -> None:
    inside = {"error": {"message": "m", "code": 429}}
    for status, told_status, kind in (
        (None, 429, "AdapterBusyError"), (200, 429, "AdapterBusyError"), (299, 429, "AdapterBusyError"), (400, 400, "AdapterRequestError"),
        (199, 199, "AdapterError"),
        (300, 300, "AdapterProtocolError"), (500, 500, "AdapterError"),
    ):  # fmt: skip
        error = read(inside, status)
        assert (error.status, type(error).__name__) == (told_status, kind)
    for status, kind in ((199, "AdapterError"), (200, "AdapterBusyError"), (299, "AdapterBusyError")):
        assert type(read({"error": {"message": "m", "type": "rate_limit"}}, status)).__name__ == kind
    assert str(read(inside, 200)) == "S: m (status 200)"
    assert str(read(inside)) == "S: m"
    assert read({"error": {"message": "m"}, "status": 503}).status == 503
    assert read({"error": {"message": "m", "code": 404}, "status": 503}).status == 404


@pytest.mark.parametrize(
    "name",
    [
        *("code", "status", "status_code", "statusCode", "http_status", "httpStatus", "http_code", "httpCode"),
        *("http_status_code", "httpStatusCode", "error_code", "errorCode"),
    ],
)
def test_a_status_has_several_names(name: str) -> None:
    for status in (400, 503, 599):
        assert read({"error": {"message": "m", name: status}}, 200).status == status
        assert has_error({name: status})


# ---- is it one? ----


@pytest.mark.parametrize(
    ("payload", "is_one"),
    [
        ({"error": "x"}, True), ({"error": {"message": "x"}}, True), ({"error": {}}, False),
        ({"error": {"message": "", "code": None}}, False),
        ({"error": "null".rjust(64)}, False), ({"error": "null".rjust(65)}, True), ({"error": None}, False),
        ({"error": "null"}, False), ({"error": False}, False), ({"error": True}, True), ({"error": 1}, True),
        ({"object": "error"}, True), ({"type": "error"}, True), ({"object": "error", "choices": []}, True), ({"object": "list"}, False),
        ({"errors": ["x"]}, True), ({"errors": []}, False), ({"detail": "x"}, True), ({"detail": ""}, False),
        ({"detail": "x", "errors": []}, True), ({"code": 404}, True), ({"code": 200}, False), ({"statusCode": "500"}, True),
        ({"status": 503, "data": []}, False), ({"message": "x"}, False), ({}, False), ([], False), ([{"error": "x"}], True),
        ([{}], False), ([{}, {"error": "x"}], False), ("error", False), (None, False), (7, False),
        ({"error_msg": "x"}, True), ({"error_message": "x"}, True), ({"error_description": "x"}, True),
        ({"success": False}, True), ({"ok": False}, True), ({"success": True, "ok": True}, False), ({"ok": False, "data": []}, False),
        ({"status": "error"}, True), ({"status": "Fail"}, True), ({"status": "FAILURE"}, True), ({"status": "fine"}, False),
        *[({"error": {"code": code, "message": text}}, False) for code in (0, "0", 200, "ok", "Success") for text in ("", "OK", "success")],
        ({"error": {"code": 200}}, False), ({"error": {"code": 200, "message": "x"}}, True),
        ({"error": {"code": 7, "message": "ok"}}, True),
        ({"error": {"message": "ok"}}, True), ({"error": {"code": 7}}, True),
        *[({"detail": "x", name: None}, False) for name in ("choices", "content", "data", "delta", "models", "output", "response")],
        *[({"error": "x", name: []}, True) for name in ("choices", "content", "data", "delta", "models", "output", "response")],
    ],
)  # fmt: skip
def test_whether_an_answer_reports_an_error(payload: object, is_one: bool) -> None:
    assert has_error(payload) is is_one


# ---- when to try again ----


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None), ({"Retry-After": "7"}, 7.0), ({"retry-after": " 7.5 "}, 7.5), ({"RETRY-AFTER": "0"}, 0.0), ({"Retry-After": "1."}, 1.0),
        ({"Retry-After-Ms": "1500"}, 1.5), ({"Retry-After-Ms": "1500", "Retry-After": "7"}, 1.5),
        ({"Retry-After-Ms": "x", "Retry-After": "7"}, 7.0),
        ({"Retry-After": str(DAY)}, DAY), ({"Retry-After": str(DAY + 1)}, DAY), ({"Retry-After": "9" * 300}, DAY),
        ({"Retry-After": "9" * 301}, None),
        ({"Retry-After": "1." + "0" * 300}, 1.0), ({"Retry-After": "1." + "0" * 301}, None),
        ({"Retry-After": "-1"}, None), ({"Retry-After": "soon"}, None), ({"Retry-After": ""}, None), ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e3"}, None), ({"Retry-After": "7 s"}, None), ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, DAY), ({"Retry-After": "Fri, 31 Dec 99999 23:59:59 GMT"}, None),
        ({"Retry-After-Ms": str(DAY * 1000 + 1)}, DAY),
    ],
)  # fmt: skip
def test_when_a_head_says_to_try_again(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds
    assert read("m", 429, headers=headers).retry_after == seconds
    assert read({"error": {"message": "m", "retry_after": 3}}, 429, headers=headers).retry_after == (
        3 if seconds is None else seconds
    )


def test_a_date_to_try_again_at() -> None:
    seconds = retry_after_seconds({"Retry-After": formatdate(time.time() + 1000, usegmt=True)})
    assert seconds is not None
    assert 900 < seconds <= 1000


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"retry_after": 7}, 7.0), ({"retryAfter": 7.5}, 7.5), ({"retry_after_seconds": "7"}, 7.0), ({"retryDelay": "7.25s"}, 7.25),
        ({"retry_after_ms": 1500}, 1.5), ({"retryAfterMs": "1500"}, 1.5), ({"retry_after": 1, "retryAfter": 2}, 1.0),
        ({"retry_after": None, "retryAfter": 2}, 2.0), ({"retry_after": 0}, 0.0), ({"retry_after": -1}, None),
        ({"retry_after": True}, None),
        ({"retry_after": "x"}, None), ({"retry_after": "7m"}, None), ({"retry_after": "9" * 21}, None), ({"retry_after": "9" * 20}, DAY),
        ({"retry_after": "1." + "0" * 20}, 1.0), ({"retry_after": "1." + "0" * 21}, None), ({"retry_after": float("inf")}, None),
        ({"retry_after": DAY + 1}, DAY), ({"retry_after": [7]}, None),
        ({"details": [{"@type": "x"}, {"retryDelay": "3s"}]}, 3.0), ({"details": {"retry_after": 3}}, 3.0),
        ({"metadata": {"retry_after": 3}}, 3.0),
        ({"details": [], "metadata": {"retry_after": 3}}, 3.0), ({"details": [{"details": [{"retry_after": 3}]}]}, 3.0),
        ({"details": [{"details": [{"details": [{"retry_after": 3}]}]}]}, None), ({"details": ["x", None]}, None), ({"details": "x"}, None),
        ({"retry_after": 1, "details": {"retry_after": 3}}, 1.0), ({"details": [{"retry_after": 2}, {"retry_after": 3}]}, 2.0),
    ],
)  # fmt: skip
def test_when_an_error_says_to_try_again(error: dict[str, Any], seconds: float | None) -> None:
    assert read({"error": {"message": "m", **error}}, 429).retry_after == seconds
    assert read({"error": "m", **error}, 429).retry_after == seconds
    assert read({"error": {"message": "m"}, **error}, 429).retry_after == seconds


def test_the_inner_error_says_first_when_to_try_again() -> None:
    between = {"error": {"message": "m"}, "retry_after": 2}
    assert read({"error": between, "retry_after": 3}, 429).retry_after == 2
    assert read({"error": {"message": "m", "retry_after": 1}, "retry_after": 2}, 429).retry_after == 1


# ---- no answer at all ----


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        (httpx.ConnectError("x"), "AdapterConnectError", False), (httpx.ConnectTimeout("x"), "AdapterConnectError", False),
        (httpx.ReadError("x"), "AdapterConnectError", True), (httpx.WriteError("x"), "AdapterConnectError", True),
        (httpx.CloseError("x"), "AdapterConnectError", True), (httpx.RemoteProtocolError("x"), "AdapterConnectError", True),
        (OSError("x"), "AdapterConnectError", True), (RuntimeError("x"), "AdapterConnectError", True),
        (httpx.ReadTimeout("x"), "AdapterTimeoutError", True), (httpx.WriteTimeout("x"), "AdapterTimeoutError", True),
        (httpx.PoolTimeout("x"), "AdapterTimeoutError", True), (httpx.DecodingError("x"), "AdapterProtocolError", True),
        (httpx.TooManyRedirects("x"), "AdapterProtocolError", True), (httpx.LocalProtocolError("x"), "AdapterRequestError", True),
        (httpx.UnsupportedProtocol("x"), "AdapterRequestError", True), (httpx.InvalidURL("x"), "AdapterRequestError", True),
        (UnicodeError("x"), "AdapterRequestError", True),
    ],
)  # fmt: skip
def test_a_failure_below_the_answer_shows_its_type_alone(error: Exception, kind: str, sent: bool) -> None:
    known = connection_error(error, server="S")
    assert (type(known).__name__, str(known)) == (kind, f"S: {type(error).__name__}")
    assert getattr(known, "sent", True) is sent
