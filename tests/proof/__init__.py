"""The production manager under controlled schedules: programs of agents, what is seen of them from outside, and cancellation everywhere.

:data:`LAYERS` are functions from a way to make a manager, such as the class itself or a mutant of it, to a :class:`Finding` or None.
"""

from __future__ import annotations

from .layers import LAYERS, Finding, Layer
from .made import MakeManager

__all__ = ["LAYERS", "Finding", "Layer", "MakeManager"]
