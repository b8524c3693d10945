"""What a program of several agents asks for: one coordinator per LM Studio server, and models of any provider by a configuration.

It stands on the provider manager, and is used alike from trio, from asyncio and from plain code.
"""

from __future__ import annotations

from .lmstudio_singleton import LMStudioMetrics, LMStudioSingleton, get_lmstudio_singleton
from .model import Answer, Model, SyncModel

__all__ = [
    "Answer",
    "LMStudioMetrics",
    "LMStudioSingleton",
    "Model",
    "SyncModel",
    "get_lmstudio_singleton",
]
