"""Anthropic's messages."""

from __future__ import annotations

from .adapter import AnthropicAdapter

__all__ = ["AnthropicAdapter"]
