"""The kinds of server that the gateway can stand before: their adapters, and how each lists its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from statemachine.config.adapter import AdapterFactory

__all__ = ["BACKENDS", "KINDS", "Backend", "ModelList"]


@dataclass(frozen=True, slots=True)
class ModelList:
    """A path whose answer has a list called ``rows``; each row has a model's ``name``."""

    path: str
    rows: str
    name: str

    def by_name(self, answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]] | None:
        """Return the rows in ``answer`` by their names; None where it has no such list."""
        rows = answer.get(self.rows)
        if not isinstance(rows, list):
            return None
        found = ((row.get(self.name), row) for row in rows if isinstance(row, Mapping))
        return {name: row for name, row in found if isinstance(name, str) and name}


@dataclass(frozen=True, slots=True)
class Backend:
    """One kind. ``adapter`` imports and returns its class; ``lists`` are the places of the list of its models, the best first.

    ``port`` is where such a server listens by default (None: it is no local server). ``headers`` are sent when it is asked, and the key
    in ``token_header``.
    """

    adapter: Callable[[], AdapterFactory]
    lists: tuple[ModelList, ...]
    port: int | None = None
    token_header: str = "Authorization"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether the server holds models in this machine's memory."""
        return self.port is not None


def _lmstudio() -> AdapterFactory:
    from ..lmstudio import LMStudioAdapter

    return LMStudioAdapter


def _ollama() -> AdapterFactory:
    from ..ollama import OllamaAdapter

    return OllamaAdapter


def _llamacpp() -> AdapterFactory:
    from ..llamacpp import LlamaCppAdapter

    return LlamaCppAdapter


def _anthropic() -> AdapterFactory:
    from ..anthropic import AnthropicAdapter

    return AnthropicAdapter


def _openai() -> AdapterFactory:
    from ..openai import OpenAIAdapter

    return OpenAIAdapter


_OPENAI_LIST: Final = (ModelList("/v1/models", "data", "id"),)
_LM_STUDIO_LISTS: Final = (  # the others may hide what is not loaded; versions before 0.4 have the second only
    ModelList("/api/v1/models", "models", "key"),
    ModelList("/api/v0/models", "data", "id"),
)

BACKENDS: Final[Mapping[str, Backend]] = {
    "lmstudio": Backend(_lmstudio, _LM_STUDIO_LISTS, port=1234),
    "ollama": Backend(_ollama, (ModelList("/api/tags", "models", "name"),), port=11434),
    "llamacpp": Backend(_llamacpp, _OPENAI_LIST, port=8080),
    "openai": Backend(_openai, _OPENAI_LIST),
    "anthropic": Backend(
        _anthropic, _OPENAI_LIST, token_header="x-api-key", headers={"anthropic-version": "2023-06-01"}
    ),
}
KINDS: Final = tuple(BACKENDS)
