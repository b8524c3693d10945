"""The lists of models that clients read, in the shapes of OpenAI, Ollama and LM Studio. Made from the catalogue; no model is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from .catalogue import OfferedModel

__all__ = ["lm_studio_v0", "lm_studio_v1", "ollama_ps", "ollama_show", "ollama_tags", "openai_model", "openai_models"]

UNKNOWN_TIME: Final = "1970-01-01T00:00:00Z"
NEVER: Final = "2318-01-01T00:00:00Z"
"""When a model that stays in memory expires, as Ollama writes it."""


def openai_models(rows: Iterable[OfferedModel]) -> dict[str, Any]:
    """Answer ``GET /v1/models``."""
    return {"object": "list", "data": [openai_model(row) for row in rows]}


def openai_model(row: OfferedModel) -> dict[str, Any]:
    """Answer ``GET /v1/models/NAME``."""
    return {"id": row.name, "object": "model", "created": row.facts.created, "owned_by": row.provider}


def ollama_tags(rows: Iterable[OfferedModel]) -> dict[str, Any]:
    """Answer ``GET /api/tags``."""
    return {"models": [{**_ollama(row), "modified_at": row.facts.modified_at or UNKNOWN_TIME} for row in rows]}


def ollama_ps(rows: Iterable[OfferedModel], resident: Set[tuple[str, str]]) -> dict[str, Any]:
    """Answer ``GET /api/ps``: return the models of ``resident``, as (provider, model). They stay until another one is needed."""
    loaded = [row for row in rows if (row.provider, row.model) in resident]
    return {
        "models": [
            {
                **_ollama(row),
                "expires_at": NEVER,
                "size_vram": row.facts.size_bytes,
                "context_length": row.facts.context_length or 0,
            }
            for row in loaded
        ]
    }


def ollama_show(row: OfferedModel) -> dict[str, Any]:
    """Answer ``POST /api/show`` of a model of another kind of server: return what its list tells."""
    facts = row.facts
    family = facts.family or "unknown"
    context = {} if facts.context_length is None else {f"{family}.context_length": facts.context_length}
    able = ["embedding"] if facts.is_embedding else ["completion"]
    able += [name for name, has in (("tools", facts.tools), ("vision", facts.vision)) if has]
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _details(row),
        "model_info": {"general.architecture": family, **context},
        "capabilities": able,
        "modified_at": facts.modified_at or UNKNOWN_TIME,
    }


def _ollama(row: OfferedModel) -> dict[str, Any]:
    digest = row.facts.digest or hashlib.sha256(f"{row.provider}/{row.model}".encode()).hexdigest()
    facts = {"size": row.facts.size_bytes, "digest": digest, "details": _details(row)}
    return {"name": row.name, "model": row.name, **facts}


def _details(row: OfferedModel) -> Mapping[str, Any]:
    facts = row.facts
    return {
        "parent_model": "",
        "format": facts.format,
        "family": facts.family,
        "families": [facts.family] if facts.family else None,
        "parameter_size": facts.parameters,
        "quantization_level": facts.quantization,
    }


def lm_studio_v0(rows: Iterable[OfferedModel], resident: Set[tuple[str, str]]) -> dict[str, Any]:
    """Answer ``GET /api/v0/models``."""
    return {"object": "list", "data": [_v0(row, (row.provider, row.model) in resident) for row in rows]}


def _v0(row: OfferedModel, is_loaded: bool) -> dict[str, Any]:
    facts = row.facts
    told: dict[str, Any] = {} if facts.context_length is None else {"max_context_length": facts.context_length}
    if facts.tools:
        told["capabilities"] = ["tool_use"]
    return {
        "id": row.name,
        "object": "model",
        "type": "vlm" if facts.vision else facts.type,
        "publisher": facts.publisher or row.provider,
        "arch": facts.family,
        "compatibility_type": facts.format,
        "quantization": facts.quantization,
        "state": "loaded" if is_loaded else "not-loaded",
        **told,
    }


def lm_studio_v1(rows: Iterable[OfferedModel], resident: Set[tuple[str, str]]) -> dict[str, Any]:
    """Answer ``GET /api/v1/models``."""
    return {"models": [_v1(row, (row.provider, row.model) in resident) for row in rows]}


def _v1(row: OfferedModel, is_loaded: bool) -> dict[str, Any]:
    facts = row.facts
    quantization = {"name": facts.quantization, "bits_per_weight": facts.bits_per_weight}
    answers = (
        {} if facts.is_embedding else {"capabilities": {"vision": facts.vision, "trained_for_tool_use": facts.tools}}
    )
    return {
        "type": "embedding" if facts.is_embedding else "llm",
        "publisher": facts.publisher or row.provider,
        "key": row.name,
        "display_name": facts.display_name or row.name,
        "architecture": facts.family or None,
        "quantization": quantization if facts.quantization else None,
        "size_bytes": facts.size_bytes,
        "params_string": facts.parameters or None,
        "loaded_instances": [{"id": row.name, "config": {}}] if is_loaded else [],
        "max_context_length": facts.context_length or 0,
        "format": facts.format or None,
        **answers,
    }
