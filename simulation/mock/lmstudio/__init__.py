"""A mock of LM Studio's HTTP server."""

from __future__ import annotations

from .server import MockLMStudio

__all__ = ["MockLMStudio"]
