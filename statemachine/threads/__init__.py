"""The configuration of conversation threads, where it is stored, and the agent workflow that uses it."""

from __future__ import annotations

__all__: list[str] = []
