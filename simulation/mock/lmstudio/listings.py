"""The server's lists of models: native v1 and v0, and OpenAI's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..engine.instance import ServerInstance
from ..http import Body
from .catalogue import DownloadedModel

__all__ = ["loaded", "openai_list", "openai_row", "v0_row", "v1_row"]


def v1_row(model: DownloadedModel, instances: Iterable[ServerInstance], now: float | None) -> Body:
    """Return the row of one downloaded model, with ``instances``. With ``now``, each tells when its time to live is over."""
    row: Body = {
        "type": "embedding" if model.kind == "embedding" else "llm",
        "publisher": model.publisher,
        "key": model.key,
        "display_name": model.name,
        "architecture": model.architecture,
        "quantization": {"name": model.quantization, "bits_per_weight": model.bits_per_weight},
        "size_bytes": model.size_bytes,
        "params_string": model.params,
        "loaded_instances": [_instance(instance, model, now) for instance in instances],
        "max_context_length": model.max_context_length,
        "format": model.format,
        "capabilities": _capabilities(model),
        "description": None,
    }
    if model.kind == "embedding":
        for name in ("architecture", "capabilities", "description"):
            del row[name]
    if model.variants:
        row.update(variants=list(model.variants), selected_variant=model.variants[0])
    return row


def _instance(instance: ServerInstance, model: DownloadedModel, now: float | None) -> Body:
    body: Body = {"id": instance.id, "config": _config(instance, model)}
    if now is not None and instance.ttl is not None:
        body["remaining_ttl_seconds"] = max(0, round(min(instance.expires, now + instance.ttl) - now))
    return body


def _config(instance: ServerInstance, model: DownloadedModel) -> Body:
    config = dict(instance.config)
    return {"context_length": config["context_length"]} if model.kind == "embedding" else config


def _capabilities(model: DownloadedModel) -> Body:
    body: Body = {"vision": model.kind == "vlm", "trained_for_tool_use": model.uses_tools}
    if model.reasons:
        body["reasoning"] = {"allowed_options": ["off", "low", "medium", "high", "on"], "default": "on"}
    return body


def loaded(instance: ServerInstance, model: DownloadedModel, *, echo_config: bool) -> Body:
    """Return the answer to a load that succeeded."""
    body: Body = {
        "type": "embedding" if model.kind == "embedding" else "llm",
        "instance_id": instance.id,
        "load_time_seconds": round(instance.load_seconds, 3),
        "status": "loaded",
    }
    return {**body, "load_config": _config(instance, model)} if echo_config else body


def v0_row(model: DownloadedModel, id_: str, instance: ServerInstance | None) -> Body:
    """Return the row of one downloaded model, or of one further instance of it."""
    row: Body = {
        "id": id_,
        "object": "model",
        "type": "embeddings" if model.kind == "embedding" else model.kind,
        "publisher": model.publisher,
        "arch": model.architecture,
        "compatibility_type": model.format,
        "quantization": model.quantization,
        "state": "not-loaded" if instance is None else instance.state,
        "max_context_length": model.max_context_length,
    }
    if instance is not None and instance.state == "loaded":
        row["loaded_context_length"] = instance.config["context_length"]
    if model.uses_tools and model.kind != "embedding":
        row["capabilities"] = ["tool_use"]
    return row


def openai_row(id_: str) -> Body:
    """Return the row of a model that a request may name."""
    return {"id": id_, "object": "model", "owned_by": "organization_owner"}


def openai_list(ids: Sequence[str]) -> Body:
    """Return the list of all of them."""
    return {"data": [openai_row(id_) for id_ in ids], "object": "list"}
