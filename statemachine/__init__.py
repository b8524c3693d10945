"""A formally modelled core that coordinates LLM agents which share a local model server and API providers.

Read ``lifecycle``, ``model``, ``manager``, in this order.
"""

from __future__ import annotations

from .adapter import Adapter, AdapterConfig, StartableAdapter, StoppableAdapter
from .call import CallOptions, Message, StreamEvent, ToolCall
from .config import UNSET, ProviderConfig, ProviderManagerConfig
from .engine import AnswerStream, ReasoningEngine
from .errors import (
    AcquireTimeoutError,
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterInstantiationError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    AuthenticationError,
    ConfigurationError,
    ContentionError,
    ContextLengthError,
    LeaseReleasedError,
    LocalInstanceBusyError,
    LocalProviderConflictError,
    ManagerClosedError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
    ProviderLimitError,
    ProviderManagerError,
    QueueFullError,
    TruncatedStreamError,
    UnknownProviderError,
)
from .events import Transition
from .lease import Lease
from .manager import Observer, ProviderManager
from .policy import Choice, Fifo, Policy
from .runtime import RuntimeProviderConfig
from .statistics import Statistics

__all__ = [
    "UNSET",
    "AcquireTimeoutError",
    "Adapter",
    "AdapterBusyError",
    "AdapterConfig",
    "AdapterConnectError",
    "AdapterError",
    "AdapterInstantiationError",
    "AdapterProtocolError",
    "AdapterRequestError",
    "AdapterTimeoutError",
    "AnswerStream",
    "AuthenticationError",
    "CallOptions",
    "Choice",
    "ConfigurationError",
    "ContentionError",
    "ContextLengthError",
    "Fifo",
    "Lease",
    "LeaseReleasedError",
    "LocalInstanceBusyError",
    "LocalProviderConflictError",
    "ManagerClosedError",
    "Message",
    "ModelEvictedError",
    "ModelLoadError",
    "ModelNotFoundError",
    "Observer",
    "Policy",
    "ProviderConfig",
    "ProviderLimitError",
    "ProviderManager",
    "ProviderManagerConfig",
    "ProviderManagerError",
    "QueueFullError",
    "ReasoningEngine",
    "RuntimeProviderConfig",
    "StartableAdapter",
    "Statistics",
    "StoppableAdapter",
    "StreamEvent",
    "ToolCall",
    "Transition",
    "TruncatedStreamError",
    "UnknownProviderError",
]
