"""A formally modelled core that coordinates LLM agents which share a local model server and API providers.

Read ``lifecycle``, ``model``, ``manager``, in this order.
"""

from __future__ import annotations

from .adapter import Adapter, AdapterConfig, StartableAdapter, StoppableAdapter
from .agent import AgentCore, AgentFactory, InstanceConfig, create_instance
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
    InvariantError,
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
    ThreadStoreError,
    TruncatedStreamError,
    UnknownProviderError,
)
from .events import Transition
from .lease import Lease
from .manager import Observer, ProviderManager
from .policies import Affinity, BasePolicy, Bound, Choice, CostAware, Fair, Fifo, Gated, Pause, Policy
from .runtime import RuntimeProviderConfig
from .statistics import Statistics
from .thread_record import SecretRef
from .threads import StateManager, ThreadContext

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
    "Affinity",
    "AgentCore",
    "AgentFactory",
    "AnswerStream",
    "AuthenticationError",
    "BasePolicy",
    "Bound",
    "CallOptions",
    "Choice",
    "ConfigurationError",
    "ContentionError",
    "ContextLengthError",
    "CostAware",
    "Fair",
    "Fifo",
    "Gated",
    "InstanceConfig",
    "InvariantError",
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
    "Pause",
    "Policy",
    "ProviderConfig",
    "ProviderLimitError",
    "ProviderManager",
    "ProviderManagerConfig",
    "ProviderManagerError",
    "QueueFullError",
    "ReasoningEngine",
    "RuntimeProviderConfig",
    "SecretRef",
    "StartableAdapter",
    "StateManager",
    "Statistics",
    "StoppableAdapter",
    "StreamEvent",
    "ThreadContext",
    "ThreadStoreError",
    "ToolCall",
    "Transition",
    "TruncatedStreamError",
    "UnknownProviderError",
    "create_instance",
]
