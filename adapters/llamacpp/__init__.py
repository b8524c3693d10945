"""llama.cpp's server, as a router of several models or with one."""

from __future__ import annotations

from .adapter import LlamaCppAdapter
from .progress import LoadProgress

__all__ = ["LlamaCppAdapter", "LoadProgress"]
