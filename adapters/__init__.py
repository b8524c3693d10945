"""Adapters: what the manager loads, calls and shuts down on behalf of its users."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .anthropic import AnthropicAdapter
    from .fake import FakeAdapter
    from .fallback import Fallback
    from .llamacpp import LlamaCppAdapter
    from .lmstudio import LMStudioAdapter
    from .ollama import OllamaAdapter
    from .openai import OpenAIAdapter
    from .providers import LMStudioSingleton, ModelProvider, get_lmstudio_singleton
    from .retrying import Retrying

__all__ = [
    "AnthropicAdapter",
    "FakeAdapter",
    "Fallback",
    "LMStudioAdapter",
    "LMStudioSingleton",
    "LlamaCppAdapter",
    "ModelProvider",
    "OllamaAdapter",
    "OpenAIAdapter",
    "Retrying",
    "get_lmstudio_singleton",
]

_HOMES: Final = {
    "AnthropicAdapter": "anthropic",
    "FakeAdapter": "fake",
    "Fallback": "fallback",
    "LMStudioAdapter": "lmstudio",
    "LMStudioSingleton": "providers",
    "LlamaCppAdapter": "llamacpp",
    "ModelProvider": "providers",
    "OllamaAdapter": "ollama",
    "OpenAIAdapter": "openai",
    "Retrying": "retrying",
    "get_lmstudio_singleton": "providers",
}


def __getattr__(name: str) -> object:
    """The adapter, from its module, so that the libraries of the others are not loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
