"""A formally modelled core that coordinates LLM agents which share a local model server and API providers.

Read ``lifecycle``, ``model``, ``manager``, in this order.
"""

from __future__ import annotations

from .config.adapter import Adapter, AdapterConfig, StartableAdapter, StoppableAdapter
from .config.call import CallOptions, Message, StreamEvent, ToolCall
from .config.forward import ForwardingAdapter, ForwardRequest, ForwardResponse
from .config.providers import UNSET, ProviderConfig, ProviderManagerConfig
from .config.runtime import RuntimeProviderConfig
from .core.events import Transition
from .core.statistics import Statistics
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
    JournalError,
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
    WrongEventLoopError,
)
from .manager.asyncio_side import AsyncioLease, AsyncioProviderManager, AsyncioReasoningEngine
from .manager.engine import AnswerStream, ReasoningEngine
from .manager.lease import Lease
from .manager.manager import ProviderManager
from .manager.observing import Observer
from .manager.sync_side import SyncLease, SyncProviderManager, SyncReasoningEngine
from .manager.transition_log import TransitionLog
from .policies import Affinity, BasePolicy, Bound, Choice, CostAware, Fair, Fifo, Gated, Pause, Policy
from .threads.agent import AgentCore, AgentFactory, InstanceConfig, create_instance
from .threads.record import SecretRef
from .threads.state import StateManager, ThreadContext

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
    "AsyncioLease",
    "AsyncioProviderManager",
    "AsyncioReasoningEngine",
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
    "ForwardRequest",
    "ForwardResponse",
    "ForwardingAdapter",
    "Gated",
    "InstanceConfig",
    "InvariantError",
    "JournalError",
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
    "SyncLease",
    "SyncProviderManager",
    "SyncReasoningEngine",
    "ThreadContext",
    "ThreadStoreError",
    "ToolCall",
    "Transition",
    "TransitionLog",
    "TruncatedStreamError",
    "UnknownProviderError",
    "WrongEventLoopError",
    "create_instance",
]
