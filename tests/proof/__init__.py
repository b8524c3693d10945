"""The production manager under controlled schedules: programs of agents, what is seen of them from outside, and cancellation everywhere.

:data:`LAYERS` are functions from a :class:`Subject` (production, or with a mutant in it) to a :class:`Finding` or None.
"""

from __future__ import annotations

from .layers import LAYERS, Finding, Layer
from .subject import PRODUCTION, Subject

__all__ = ["LAYERS", "PRODUCTION", "Finding", "Layer", "Subject"]
