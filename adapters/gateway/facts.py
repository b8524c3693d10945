"""What a server tells of one of its models in its list, whichever server it is. What it does not tell stays empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from statemachine.checks import is_number
from statemachine.text import fit_to_show

__all__ = ["UNKNOWN", "ModelFacts", "facts_of"]

TEXT_LIMIT: Final = 200
COUNT_LIMIT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """``type`` is LM Studio's word: ``llm``, ``vlm`` or ``embeddings``. ``modified_at`` is a time in ISO 8601, ``created`` in seconds."""

    type: str = "llm"
    size_bytes: int = 0
    digest: str = ""
    modified_at: str = ""
    created: int = 0
    format: str = ""
    family: str = ""
    parameters: str = ""
    quantization: str = ""
    bits_per_weight: float | None = None
    context_length: int | None = None
    display_name: str = ""
    publisher: str = ""
    vision: bool = False
    tools: bool = False

    @property
    def is_embedding(self) -> bool:
        """Whether it makes vectors, not text."""
        return self.type.startswith("embedding")


UNKNOWN: Final = ModelFacts()


def facts_of(row: Mapping[str, Any]) -> ModelFacts:
    """Read a row of LM Studio's lists, of Ollama's ``/api/tags`` or of ``/v1/models``."""
    details, meta, capabilities, quantization = (
        value if isinstance(value := row.get(name), Mapping) else {}
        for name in ("details", "meta", "capabilities", "quantization")
    )
    kind = _text(row, "type") or "llm"
    return ModelFacts(
        type="embeddings" if kind.startswith("embedding") else kind,
        size_bytes=_count(row, "size_bytes") or _count(row, "size") or _count(meta, "size") or 0,
        digest=_text(row, "digest"),
        modified_at=_text(row, "modified_at"),
        created=_count(row, "created") or 0,
        format=_text(row, "format") or _text(row, "compatibility_type") or _text(details, "format"),
        family=_text(row, "architecture") or _text(row, "arch") or _text(details, "family"),
        parameters=_text(row, "params_string") or _text(details, "parameter_size"),
        quantization=_text(quantization, "name") or _text(row, "quantization") or _text(details, "quantization_level"),
        bits_per_weight=_number(quantization, "bits_per_weight"),
        context_length=_count(row, "max_context_length") or _count(meta, "n_ctx_train"),
        display_name=_text(row, "display_name"),
        publisher=_text(row, "publisher") or _text(row, "owned_by"),
        vision=capabilities.get("vision") is True or kind == "vlm",
        tools=capabilities.get("trained_for_tool_use") is True or _lists(row, "capabilities", "tool_use"),
    )


def _lists(row: Mapping[str, Any], name: str, word: str) -> bool:
    value = row.get(name)
    return isinstance(value, list) and word in value


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return fit_to_show(value, TEXT_LIMIT) if isinstance(value, str) else ""


def _count(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    return value if type(value) is int and 0 <= value <= COUNT_LIMIT else None


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return float(value) if is_number(value) else None
