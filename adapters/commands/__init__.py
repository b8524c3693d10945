"""The commands that look at a server and move its models, each in a file: ``python -m adapters COMMAND --provider ... --base-url ...``."""

from __future__ import annotations

__all__: list[str] = []
