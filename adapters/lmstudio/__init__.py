"""LM Studio: ``adapter`` is its life and its calls, ``api`` its lifecycle endpoints."""

from __future__ import annotations

from .adapter import LMStudioAdapter

__all__ = ["LMStudioAdapter"]
