"""A loopback llama.cpp server in router mode, written from what the real one was seen to say."""

from __future__ import annotations

from .router import Child, Router
from .server import MockLlamaCpp

__all__ = ["Child", "MockLlamaCpp", "Router"]
