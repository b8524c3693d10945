"""What is configured: providers and the manager, one runtime choice, one call, and what an adapter must do."""

from __future__ import annotations

__all__: list[str] = []
