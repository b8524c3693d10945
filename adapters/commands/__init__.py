"""The commands that look at a server and move its models, each in a file with its ``Options`` and ``run``: ``llm-slots COMMAND``."""

from __future__ import annotations

__all__: list[str] = []
