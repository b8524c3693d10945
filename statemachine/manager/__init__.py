"""The trio driver: it tells the coordinator what happens, and carries out what the coordinator answers."""

from __future__ import annotations

__all__: list[str] = []
