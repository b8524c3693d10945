"""The paths that the gateway forwards, each with its dialect. What is not in this table is never forwarded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .dialects import ANTHROPIC, LM_STUDIO, OLLAMA, OPENAI, RESPONSES, Dialect

__all__ = ["FORWARDED", "Route", "dialect_of", "speaks"]


@dataclass(frozen=True, slots=True)
class Route:
    """A POST whose body names a model, and the kinds of backend that have it."""

    path: str
    dialect: Dialect
    backends: frozenset[str]


_LOCAL: Final = ("lmstudio", "ollama", "llamacpp")


def _route(path: str, dialect: Dialect, *backends: str) -> Route:
    return Route(path, dialect, frozenset(backends))


FORWARDED: Final[Mapping[str, Route]] = {
    route.path: route
    for route in (
        _route("/v1/chat/completions", OPENAI, *_LOCAL, "openai"),
        _route("/v1/completions", OPENAI, *_LOCAL, "openai"),
        _route("/v1/embeddings", OPENAI, *_LOCAL, "openai"),
        _route("/v1/responses", RESPONSES, *_LOCAL, "openai"),
        _route("/v1/messages", ANTHROPIC, *_LOCAL, "anthropic"),
        _route("/api/chat", OLLAMA, "ollama"),
        _route("/api/generate", OLLAMA, "ollama"),
        _route("/api/embed", OLLAMA, "ollama"),
        _route("/api/v0/chat/completions", OPENAI, "lmstudio"),
        _route("/api/v0/completions", OPENAI, "lmstudio"),
        _route("/api/v0/embeddings", OPENAI, "lmstudio"),
        _route("/api/v1/chat", LM_STUDIO, "lmstudio"),
    )
}


def speaks(kind: str, path: str) -> bool:
    """Return whether a backend of this kind has the path."""
    return kind in FORWARDED[path].backends


def dialect_of(path: str) -> Dialect:
    """Return the dialect in which errors about ``path`` are told, also where the path is unknown."""
    if path in FORWARDED:
        return FORWARDED[path].dialect
    if path.startswith("/v1/messages"):
        return ANTHROPIC
    if path.startswith(("/api/v0/", "/api/v1/")):
        return LM_STUDIO
    return OLLAMA if path.startswith("/api/") else OPENAI
