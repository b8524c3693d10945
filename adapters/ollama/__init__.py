"""Ollama."""

from __future__ import annotations

from .adapter import OllamaAdapter

__all__ = ["OllamaAdapter"]
