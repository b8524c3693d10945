"""What an adapter tells of its server when it is asked how it is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Health"]


@dataclass(frozen=True, slots=True)
class Health:
    """``reachable``: the server answers. ``ready``: a call would be served now. ``detail`` says why not, fit to show."""

    reachable: bool
    ready: bool
    detail: str = ""
