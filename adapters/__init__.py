"""Adapters: what the manager loads, calls and shuts down on behalf of its users. Each is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .fake import FakeAdapter
    from .lmstudio import LMStudioAdapter
    from .openai import OpenAIAdapter
    from .providers import LMStudioSingleton, get_lmstudio_singleton

__all__ = ["FakeAdapter", "LMStudioAdapter", "LMStudioSingleton", "OpenAIAdapter", "get_lmstudio_singleton"]

_HOMES: Final = {
    "FakeAdapter": "fake",
    "LMStudioAdapter": "lmstudio",
    "LMStudioSingleton": "providers",
    "OpenAIAdapter": "openai",
    "get_lmstudio_singleton": "providers",
}


def __getattr__(name: str) -> object:
    """The adapter, from its module, so that the libraries of the others are not loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
