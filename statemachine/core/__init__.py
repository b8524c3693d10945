"""The pure core: ``Coordinator.step(event, now) -> effects`` holds every decision. Read ``lifecycle``, then ``coordinator``."""

from __future__ import annotations

__all__: list[str] = []
