"""A loopback Ollama, written from its documented wire."""

from __future__ import annotations

from .runners import Runner, Runners
from .server import MockOllama

__all__ = ["MockOllama", "Runner", "Runners"]
