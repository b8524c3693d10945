"""The gateway's commands, each a module with ``Options`` and ``run``."""

from __future__ import annotations

__all__: list[str] = []
