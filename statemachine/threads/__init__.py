"""Thread configuration, where it is stored, and the agent workflow that runs on it."""

from __future__ import annotations

__all__: list[str] = []
