"""The kinds of server that the gateway can stand before: their adapters, and how each lists its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from statemachine.config.adapter import AdapterFactory

__all__ = ["BACKENDS", "KINDS", "Backend"]


@dataclass(frozen=True, slots=True)
class Backend:
    """One kind. ``adapter`` imports and returns its class; ``models_path`` and ``names`` read the list of its models.

    ``port`` is where such a server listens by default (None: it is no local server). ``headers`` are sent when it is asked, and the key
    in ``token_header``.
    """

    adapter: Callable[[], AdapterFactory]
    models_path: str
    names: Callable[[Mapping[str, Any]], list[str]]
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


def _rows(rows_member: str, name_member: str) -> Callable[[Mapping[str, Any]], list[str]]:
    def names(answer: Mapping[str, Any]) -> list[str]:
        rows = answer.get(rows_member)
        found = (row.get(name_member) for row in rows if isinstance(row, Mapping)) if isinstance(rows, list) else ()
        return [name for name in found if isinstance(name, str) and name]

    return names


_OPENAI_LIST: Final = ("/v1/models", _rows("data", "id"))

BACKENDS: Final[Mapping[str, Backend]] = {
    "lmstudio": Backend(_lmstudio, *_OPENAI_LIST, port=1234),
    "ollama": Backend(_ollama, "/api/tags", _rows("models", "name"), port=11434),
    "llamacpp": Backend(_llamacpp, *_OPENAI_LIST, port=8080),
    "openai": Backend(_openai, *_OPENAI_LIST),
    "anthropic": Backend(
        _anthropic, *_OPENAI_LIST, token_header="x-api-key", headers={"anthropic-version": "2023-06-01"}
    ),
}
KINDS: Final = tuple(BACKENDS)
