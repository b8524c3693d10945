"""Models for programs of several agents: one coordinator per LM Studio server, and models of any provider by a configuration.

Both use the provider manager. Both can be used from trio, from asyncio, and from plain code.
"""

from __future__ import annotations

from .config import AgentModelConfig, ModelConfig
from .lmstudio_singleton import LMStudioMetrics, LMStudioSingleton
from .model import Answer, Model, SyncModel
from .provider import AgentModels, ConnectionStatus, ModelProvider, SyncAgentModels
from .sharing import get_lmstudio_singleton

__all__ = [
    "AgentModelConfig",
    "AgentModels",
    "Answer",
    "ConnectionStatus",
    "LMStudioMetrics",
    "LMStudioSingleton",
    "Model",
    "ModelConfig",
    "ModelProvider",
    "SyncAgentModels",
    "SyncModel",
    "get_lmstudio_singleton",
]
