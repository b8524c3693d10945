"""A formally modelled core that coordinates LLM agents which share a local model server and API providers.

Read :mod:`.core.lifecycle`, :mod:`.core.coordinator`, :mod:`.manager.manager`, in this order. What only some programs use (threads and
their store, the sides for asyncio and plain threads, forwarding, statistics) is loaded when it is first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .config.adapter import Adapter, AdapterConfig, StartableAdapter, StoppableAdapter
from .config.call import CallOptions, Message, StreamEvent, ToolCall
from .config.providers import UNSET, ProviderConfig, ProviderManagerConfig
from .config.runtime import RuntimeProviderConfig
from .core.events import Transition
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
from .manager.engine import AnswerStream, ReasoningEngine
from .manager.lease import Lease
from .manager.manager import ProviderManager
from .manager.observing import Observer
from .manager.transition_log import TransitionLog
from .policies import Affinity, BasePolicy, Bound, Choice, CostAware, Fair, Fifo, Gated, Pause, Policy

if TYPE_CHECKING:
    from .config.forward import ForwardingAdapter, ForwardRequest, ForwardResponse
    from .core.statistics import Statistics
    from .manager.asyncio_side import AsyncioLease, AsyncioProviderManager, AsyncioReasoningEngine
    from .manager.sync_side import SyncLease, SyncProviderManager, SyncReasoningEngine
    from .threads.agent import AgentCore, AgentFactory, InstanceConfig, create_instance
    from .threads.record import SecretRef
    from .threads.state import StateManager, ThreadContext

__version__ = "0.2.0"

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

_LOADED_WHEN_NAMED: Final = {
    "AsyncioLease": ".manager.asyncio_side",
    "AsyncioProviderManager": ".manager.asyncio_side",
    "AsyncioReasoningEngine": ".manager.asyncio_side",
    "ForwardRequest": ".config.forward",
    "ForwardResponse": ".config.forward",
    "ForwardingAdapter": ".config.forward",
    "Statistics": ".core.statistics",
    "SyncLease": ".manager.sync_side",
    "SyncProviderManager": ".manager.sync_side",
    "SyncReasoningEngine": ".manager.sync_side",
    "AgentCore": ".threads.agent",
    "AgentFactory": ".threads.agent",
    "InstanceConfig": ".threads.agent",
    "create_instance": ".threads.agent",
    "SecretRef": ".threads.record",
    "StateManager": ".threads.state",
    "ThreadContext": ".threads.state",
}


def __getattr__(name: str) -> Any:
    if name not in _LOADED_WHEN_NAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LOADED_WHEN_NAMED[name], __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
