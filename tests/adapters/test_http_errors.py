"""What a server's errors mean: every documented shape, and no secret shown."""

from __future__ import annotations

import httpx
import pytest

from adapters.http.errors import adapter_error, connection_error
from statemachine import (
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

from .scripted import OVERFLOW, TOKEN, openai

OLD_OVERFLOW = "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded with 9."
GUARDRAIL = "Model loading was stopped due to insufficient system resources. Under the current settings, this model requires 9 GB."
CRASH = "The model has crashed without additional information. (Exit code: 18446744072635812000)"


@pytest.mark.parametrize(
    ("status", "payload", "kind"),
    [
        # the code or type decides, whatever the status
        (401, openai("An LM Studio API token is required", "invalid_api_key", "invalid_request"), AuthenticationError),
        (
            404,
            {"error": {"type": "model_not_found", "message": "Model foo not found in downloaded models"}},
            ModelNotFoundError,
        ),
        (400, openai('Invalid model identifier "o4-mini".', "model_not_found"), ModelNotFoundError),
        (500, {"error": {"type": "model_load_failed", "message": CRASH}}, ModelLoadError),
        (400, {"error": {"code": 400, "message": "n > m", "type": "exceed_context_size_error"}}, ContextLengthError),
        (200, {"error": {"code": "context_length_exceeded"}}, ContextLengthError),
        (None, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, AdapterBusyError),
        # then the status
        (401, {"error": "no"}, AuthenticationError),
        (403, "Forbidden", AuthenticationError),
        (408, "", AdapterTimeoutError),
        (429, {"error": {"message": "Too many requests", "code": "x"}}, AdapterBusyError),
        (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, AdapterBusyError),
        (504, "<html>", AdapterTimeoutError),
        # then the text
        (400, openai("No models loaded. Please load a model in the developer page"), ModelNotFoundError),
        (404, {"error": "No models loaded. Please load a model"}, ModelNotFoundError),
        (404, {"error": "model 'x' not found, try pulling it first"}, ModelNotFoundError),
        (400, openai('Failed to load model "X". Error: Error loading model. (Exit code: 6)'), ModelLoadError),
        (400, openai('Failed to load model "X". Error: Operation canceled.'), ModelLoadError),
        (400, openai(GUARDRAIL), ModelLoadError),
        (400, openai("Model unloaded"), ModelEvictedError),
        (None, openai("Model is unloaded."), ModelEvictedError),
        (None, {"message": "Model unloaded."}, ModelEvictedError),
        (500, {"error": CRASH}, ModelEvictedError),
        (400, {"error": OVERFLOW}, ContextLengthError),
        (200, {"error": OLD_OVERFLOW}, ContextLengthError),
        (None, "Context size has been exceeded", ContextLengthError),
        (200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}, AdapterProtocolError),
        # nothing known
        (302, "", AdapterProtocolError),
        (400, openai("Unrecognized key(s) in object: 'ttl'", "unrecognized_keys"), AdapterRequestError),
        (404, "<html>not here</html>", AdapterRequestError),
        (500, {"error": {}}, AdapterError),
        (None, {"error": {"type": "internal_error", "message": "oh"}}, AdapterError),
        (None, "", AdapterError),
        (200, {"error": {"message": None, "code": 7, "type": []}}, AdapterError),
    ],
)
def test_what_error_answers_mean(status: int | None, payload: object, kind: type[AdapterError]) -> None:
    error = adapter_error(status, payload, server="http://host")
    assert type(error) is kind
    assert str(error).startswith("http://host: ")
    assert error.broken is (kind is ModelEvictedError)


def test_an_unknown_failure_of_the_server_may_pass() -> None:
    assert adapter_error(500, "oh", server="s").retryable
    assert adapter_error(502, "oh", server="s", otherwise=ModelLoadError).retryable
    assert not adapter_error(400, "oh", server="s").retryable
    assert type(adapter_error(500, "oh", server="s", otherwise=ModelLoadError)) is ModelLoadError


def test_messages_help_and_hold_no_secret() -> None:
    error = adapter_error(400, openai(f"no\nsuch {TOKEN} thing", "some_code"), server="http://host", secrets=[TOKEN])
    assert str(error) == "http://host: no such *** thing (status 400, invalid_request_error, some_code)"
    refused = adapter_error(
        401, openai("Incorrect API key provided: sk-lm-abc***ghij", "invalid_api_key"), server="http://host"
    )
    assert "sk-" not in str(refused)
    cut = adapter_error(400, {"error": "x" * 490 + TOKEN}, server="s", secrets=[TOKEN])
    assert TOKEN[:5] not in str(cut)
    assert len(str(cut)) < 600


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("x"), AdapterConnectError),
        (httpx.ConnectTimeout("x"), AdapterConnectError),
        (httpx.ReadError("x"), AdapterConnectError),
        (httpx.RemoteProtocolError("x"), AdapterConnectError),
        (httpx.ReadTimeout("x"), AdapterTimeoutError),
        (httpx.PoolTimeout("x"), AdapterTimeoutError),
        (httpx.DecodingError("x"), AdapterProtocolError),
        (httpx.LocalProtocolError(f"Illegal header value {TOKEN}"), AdapterRequestError),
    ],
)
def test_what_lost_connections_mean(error: httpx.HTTPError, kind: type[AdapterError]) -> None:
    known = connection_error(error, server="http://host")
    assert type(known) is kind
    assert str(known) == f"http://host: {type(error).__name__}"
