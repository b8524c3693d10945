"""The gateway's commands, each a module with ``main(arguments) -> exit code``."""

from __future__ import annotations

__all__: list[str] = []
