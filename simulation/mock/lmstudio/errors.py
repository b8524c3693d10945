"""LM Studio's refusals. Those of the OpenAI-compatible endpoints are also the ones that other dialects translate."""

from __future__ import annotations

from collections.abc import Iterable

from ..http import Body

__all__ = [
    "Refusal",
    "cannot_answer",
    "context_overflow",
    "engine_error",
    "instance_not_loaded",
    "invalid_body",
    "invalid_model",
    "invalid_token",
    "invalid_type",
    "jit_load_failed",
    "job_not_found",
    "load_failed",
    "missing",
    "no_models_loaded",
    "not_downloadable",
    "not_downloaded",
    "several_models_loaded",
    "unexpected_endpoint",
    "unknown_response",
    "unrecognized_keys",
]


class Refusal(Exception):  # noqa: N818  # not an error of ours, but an answer
    """An answer that is not what was asked for."""

    def __init__(self, status: int, body: Body) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body

    @property
    def message(self) -> str:
        """What it says."""
        error = self.body["error"]
        return str(error if isinstance(error, str) else error["message"])

    def member(self, name: str) -> str | None:
        """Return the error's ``type``, ``code`` or ``param``."""
        error = self.body["error"]
        return error.get(name) if isinstance(error, dict) else None


# ---- errors of every endpoint ----


def unexpected_endpoint(status: int, method: str, path: str) -> Refusal:
    """Refuse a path that is not known: with status 200, in the versions known."""
    return Refusal(status, {"error": f"Unexpected endpoint or method. ({method} {path})"})


def invalid_token(given: bool) -> Refusal:
    """Refuse a request without the API token, or with another one; the text for another one is not published."""
    text = (
        "Malformed or unknown LM Studio API token provided."
        if given
        else "An LM Studio API token is required to make requests to this server, but none was provided using the Authorization"
        " header using the 'Bearer' scheme (i.e., 'Authorization: Bearer $LM_API_TOKEN'). Learn more at:"
        " https://lmstudio.ai/docs/developer/core/authentication."
    )
    return _native(401, "invalid_request", text, code="invalid_api_key")


def invalid_body(status: int, reason: str) -> Refusal:
    """Refuse a body that is not a JSON object, is too large, or is of another media type."""
    code = {413: "payload_too_large", 415: "unsupported_media_type"}.get(status, "invalid_json")
    text = "failed to parse JSON value. Please check the value to ensure it is valid JSON" if status == 400 else reason
    return _native(status, "invalid_request", f"Invalid body: {text}", code=code)


def missing(param: str) -> Refusal:
    """Refuse a request without a required member."""
    return _native(400, "invalid_request", f'"{param}" is required', code="missing_required_parameter", param=param)


def invalid_type(param: str, expected: str) -> Refusal:
    """Refuse a member of another type or range; the real server's code for it is not published."""
    return _native(400, "invalid_request", f'"{param}" must be {expected}', code="invalid_type", param=param)


# ---- the native endpoints ----


def unrecognized_keys(keys: Iterable[str]) -> Refusal:
    """Members that the endpoint does not know."""
    names = ", ".join(f"'{_short(key)}'" for key in list(keys)[:20])
    return _native(400, "invalid_request", f"Unrecognized key(s) in object: {names}", code="unrecognized_keys")


def not_downloaded(model: str) -> Refusal:
    """Refuse a load of a model that is not there."""
    return _native(404, "model_not_found", f"Model {_short(model)} not found in downloaded models")


def not_downloadable(model: str) -> Refusal:
    """Refuse a download of a model that cannot be downloaded; the real server's words are not published."""
    return _native(404, "model_not_found", f"Model {_short(model)} not found")


def load_failed(status: int, message: str) -> Refusal:
    """Report a load that failed; its status is not published."""
    return _native(status, "model_load_failed", message)


def instance_not_loaded(instance_id: str) -> Refusal:
    """Refuse an unload of what is not loaded."""
    return _native(404, "model_not_found", f"Model with instance identifier '{_short(instance_id)}' is not loaded.")


def job_not_found(job_id: str) -> Refusal:
    """Refuse the status of a download that was never begun."""
    return _native(404, "job_not_found", f"Download job {_short(job_id)} not found")


def unknown_response(response_id: str) -> Refusal:
    """Refuse to go on from an answer that is not stored; the real server's words are not published."""
    text = f"Response {_short(response_id)} not found"
    return _native(404, "invalid_request", text, code="response_not_found", param="previous_response_id")


# ---- the OpenAI-compatible endpoints ----


def invalid_model(status: int, name: str, models: Iterable[str]) -> Refusal:
    """Refuse a model that is not there."""
    text = f'Invalid model identifier "{_short(name)}". Please specify a valid downloaded model (e.g., {", ".join(models)}).'
    return _openai(text, status, param="model", code="model_not_found")


def no_models_loaded(status: int, *, flat: bool) -> Refusal:
    """Refuse a model that is not loaded, while requests load none. ``flat``: as before 0.3.18."""
    text = "No models loaded. Please load a model in the developer page or use the 'lms load' command."
    return Refusal(status, {"error": text}) if flat else _openai(text, status, param="model")


def several_models_loaded(status: int, name: str, loaded: Iterable[str]) -> Refusal:
    """Refuse a name that is none of the loaded models', in old versions."""
    models = "\n".join(loaded)
    text = f'Model "{_short(name)}" not found. Please specify a valid model.\n\nYour models:\n\n{models}'
    return _openai(text, status, param="model", code="model_not_found")


def cannot_answer(kind: str) -> Refusal:
    """Refuse a chat with an embedding model, or an embedding by a chat model; the code is not published."""
    return _openai(f"Model is not {kind}.", param="model", code="model_not_found")


def jit_load_failed(model: str, message: str) -> Refusal:
    """Report that the model of a request could not be loaded."""
    return _openai(f'Failed to load model "{_short(model)}". Error: {message}', param="model")


def engine_error(message: str, status: int = 400) -> Refusal:
    """Report that the engine failed while it was answering, or that its model was unloaded."""
    return _openai(message, status)


def context_overflow(prompt_tokens: int, context_length: int) -> Refusal:
    """Refuse a prompt that does not fit."""
    text = (
        "The number of tokens to keep from the initial prompt is greater than the context length"
        f" (n_keep: {prompt_tokens}>= n_ctx: {context_length}). Try to load the model with a larger context length, or provide a"
        " shorter input."
    )
    return Refusal(400, {"error": text})


def _short(name: str) -> str:
    """Return a name that a request gave, as far as it is repeated."""
    return name if len(name) <= 200 else f"{name[:200]}..."


def _native(status: int, type_: str, message: str, **more: str) -> Refusal:
    return Refusal(status, {"error": {"type": type_, "message": message, **more}})


def _openai(message: str, status: int = 400, *, param: str | None = None, code: str | None = None) -> Refusal:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Refusal(status, {"error": error})
