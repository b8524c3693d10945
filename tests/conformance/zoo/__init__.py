"""Adapters with one small mistake each, and some without one. Importing this fills the registry."""

from __future__ import annotations

from . import calls, life, requests
from .correct import CORRECT
from .registry import ZOO

__all__ = ["CORRECT", "ZOO", "calls", "life", "requests"]
