"""Adapters: what the manager loads, calls and shuts down on behalf of its users."""

from __future__ import annotations

from .fake import FakeAdapter
from .lmstudio import LMStudioAdapter
from .openai import OpenAIAdapter

__all__ = ["FakeAdapter", "LMStudioAdapter", "OpenAIAdapter"]
