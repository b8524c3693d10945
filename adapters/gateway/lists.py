"""The lists of models that clients read, in the shapes of OpenAI, Ollama and LM Studio. Made from the catalogue; no model is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from .catalogue import OfferedModel

__all__ = ["lm_studio_v0", "lm_studio_v1", "ollama_ps", "ollama_tags", "openai_model", "openai_models"]


def openai_models(rows: Iterable[OfferedModel]) -> dict[str, Any]:
    """``GET /v1/models``."""
    return {"object": "list", "data": [openai_model(row) for row in rows]}


def openai_model(row: OfferedModel) -> dict[str, Any]:
    """``GET /v1/models/NAME``."""
    return {"id": row.name, "object": "model", "created": 0, "owned_by": row.provider}


def ollama_tags(rows: Iterable[OfferedModel]) -> dict[str, Any]:
    """``GET /api/tags``. Sizes and digests are not known here."""
    return {"models": [_ollama(row) for row in rows]}


def ollama_ps(rows: Iterable[OfferedModel], resident: Set[tuple[str, str]]) -> dict[str, Any]:
    """``GET /api/ps``: the models of ``resident``, as (provider, model)."""
    return {"models": [_ollama(row) for row in rows if (row.provider, row.model) in resident]}


def _ollama(row: OfferedModel) -> dict[str, Any]:
    details: Mapping[str, Any] = {
        "format": "",
        "family": "",
        "families": None,
        "parameter_size": "",
        "quantization_level": "",
    }
    return {
        "name": row.name,
        "model": row.name,
        "modified_at": "1970-01-01T00:00:00Z",
        "size": 0,
        "digest": "",
        "details": details,
    }


def lm_studio_v0(rows: Iterable[OfferedModel], resident: Set[tuple[str, str]]) -> dict[str, Any]:
    """``GET /api/v0/models``."""
    return {
        "object": "list",
        "data": [
            {
                "id": row.name,
                "object": "model",
                "type": "llm",
                "state": _state(row, resident),
                "publisher": row.provider,
            }
            for row in rows
        ],
    }


def lm_studio_v1(rows: Iterable[OfferedModel], resident: Set[tuple[str, str]]) -> dict[str, Any]:
    """``GET /api/v1/models``."""
    return {
        "models": [
            {
                "type": "llm",
                "publisher": row.provider,
                "key": row.name,
                "display_name": row.name,
                "loaded_instances": [{"id": row.name, "config": {}}] if (row.provider, row.model) in resident else [],
            }
            for row in rows
        ]
    }


def _state(row: OfferedModel, resident: Set[tuple[str, str]]) -> str:
    return "loaded" if (row.provider, row.model) in resident else "not-loaded"
