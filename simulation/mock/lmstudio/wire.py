"""LM Studio's bodies, since 0.4: what the mock server says, without when. The shapes are those documented or recorded from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from ...timing.latency import ModelSpec
from ..engine.instance import Instance, Job

__all__ = [
    "LOAD_KEYS",
    "Body",
    "Refusal",
    "chunk",
    "completion",
    "engine_error",
    "instance_not_loaded",
    "invalid_json",
    "invalid_model",
    "invalid_token",
    "invalid_type",
    "jit_load_failed",
    "load_failed",
    "loaded",
    "missing",
    "model_list",
    "model_unloaded",
    "no_models_loaded",
    "not_downloaded",
    "openai_model_list",
    "unexpected_endpoint",
    "unrecognized_keys",
    "usage",
]

Body: TypeAlias = dict[str, Any]

LOAD_KEYS: Final = (
    "model",
    "context_length",
    "eval_batch_size",
    "flash_attention",
    "num_experts",
    "offload_kv_cache_to_gpu",
    "parallel",
    "echo_load_config",
)


class Refusal(Exception):  # noqa: N818  # not an error of ours, but an answer
    """An answer that is not what was asked for."""

    def __init__(self, status: int, body: Body) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body


# ---- errors of every endpoint ----


def unexpected_endpoint(method: str, path: str) -> Refusal:
    """Yes, with status 200."""
    return Refusal(200, {"error": f"Unexpected endpoint or method. ({method} {path})"})


def invalid_token() -> Refusal:
    """No API token, or another one."""
    return _native(
        401,
        "invalid_request",
        "An LM Studio API token is required to make requests to this server.",
        code="invalid_api_key",
    )


def invalid_json() -> Refusal:
    """The body is not a JSON object."""
    return _native(400, "invalid_request", "Invalid body: failed to parse JSON value.", code="invalid_json")


def missing(param: str) -> Refusal:
    """A required member is not there."""
    return _native(400, "invalid_request", f'"{param}" is required', code="missing_required_parameter", param=param)


def invalid_type(param: str, expected: str) -> Refusal:
    """A member has another type or range; the real server's code for it is not published."""
    return _native(400, "invalid_request", f'"{param}" must be {expected}', code="invalid_type", param=param)


# ---- the native endpoints ----


def unrecognized_keys(keys: Iterable[str]) -> Refusal:
    """Members that the endpoint does not know."""
    names = ", ".join(f"'{key}'" for key in keys)
    return _native(400, "invalid_request", f"Unrecognized key(s) in object: {names}", code="unrecognized_keys")


def not_downloaded(model: str) -> Refusal:
    """A load of a model that is not there."""
    return _native(404, "model_not_found", f"Model {model} not found in downloaded models")


def load_failed(message: str) -> Refusal:
    """A load that failed; its status is not published."""
    return _native(500, "model_load_failed", message)


def instance_not_loaded(instance_id: str) -> Refusal:
    """An unload of what is not loaded."""
    return _native(404, "model_not_found", f"Model with instance identifier '{instance_id}' is not loaded.")


def model_list(models: Iterable[ModelSpec], resident: Sequence[Instance]) -> Body:
    """Every downloaded model, with its instances that can be unloaded or are just being so."""
    return {
        "models": [_row(model, [i for i in resident if i.model is model and i.state != "loading"]) for model in models]
    }


def loaded(instance: Instance, *, echo_config: bool) -> Body:
    """A load that succeeded."""
    body: Body = {
        "type": "llm",
        "instance_id": instance.id,
        "load_time_seconds": round(instance.load_seconds, 3),
        "status": "loaded",
    }
    return {**body, "load_config": dict(instance.config)} if echo_config else body


def _row(model: ModelSpec, instances: Iterable[Instance]) -> Body:
    publisher, _, name = model.key.rpartition("/")
    return {
        "type": "llm",
        "publisher": publisher or "mock",
        "key": model.key,
        "display_name": name,
        "architecture": "mock",
        "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
        "size_bytes": model.size_bytes,
        "params_string": None,
        "loaded_instances": [{"id": instance.id, "config": dict(instance.config)} for instance in instances],
        "max_context_length": model.max_context_length,
        "format": "gguf",
        "capabilities": {"vision": False, "trained_for_tool_use": True},
        "description": None,
    }


# ---- the OpenAI-compatible endpoints ----


def invalid_model(name: object, models: Iterable[str]) -> Refusal:
    """A chat with a model that is not there: status 400, not 404, since 0.3.30."""
    text = f'Invalid model identifier "{name}". Please specify a valid downloaded model (e.g., {", ".join(models)}).'
    return _openai(text, param="model", code="model_not_found")


def no_models_loaded() -> Refusal:
    """A chat with a model that is not loaded, while requests load none."""
    return _openai(
        "No models loaded. Please load a model in the developer page or use the 'lms load' command.", param="model"
    )


def jit_load_failed(model: str, message: str) -> Refusal:
    """A chat whose model could not be loaded."""
    return _openai(f'Failed to load model "{model}". Error: {message}', param="model")


def model_unloaded() -> Refusal:
    """A chat whose model was unloaded under it."""
    return _openai("Model unloaded")


def engine_error(message: str) -> Refusal:
    """The engine failed while it was answering."""
    return _openai(message)


def openai_model_list(ids: Iterable[str]) -> Body:
    """The models that a chat may name."""
    return {"object": "list", "data": [{"id": id_, "object": "model", "owned_by": "organization_owner"} for id_ in ids]}


def usage(job: Job) -> Body:
    """The tokens of one answer."""
    prompt, made = job.prompt_tokens, len(job.tokens)
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


def completion(id_: str, created: int, model: str, text: str, finish_reason: str, job: Job) -> Body:
    """An answer in one piece."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "logprobs": None, "finish_reason": finish_reason, "message": message}
    return {**_answer("chat.completion", id_, created, model), "choices": [choice], "usage": usage(job), "stats": {}}


def chunk(id_: str, created: int, model: str, delta: Body | None, finish_reason: str | None = None) -> Body:
    """One piece of a stream; without ``delta``, one that belongs to no choice."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**_answer("chat.completion.chunk", id_, created, model), "choices": [] if delta is None else [choice]}


def _answer(kind: str, id_: str, created: int, model: str) -> Body:
    return {"id": id_, "object": kind, "created": created, "model": model, "system_fingerprint": model}


def _native(status: int, type_: str, message: str, **more: str) -> Refusal:
    return Refusal(status, {"error": {"type": type_, "message": message, **more}})


def _openai(message: str, *, param: str | None = None, code: str | None = None) -> Refusal:
    return Refusal(400, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}})
