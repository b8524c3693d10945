"""One call of a model: its messages, its options, and the events of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..checks import check_bool, check_request, option_names, shown
from ..errors import AdapterError, ConfigurationError
from .options import freeze_options
from .runtime import RuntimeProviderConfig

__all__ = ["CallOptions", "EventType", "Message", "StreamEvent", "ToolCall"]

Message: TypeAlias = Mapping[str, Any]
"""One chat message in the OpenAI shape: ``role``, ``content``, and tool calls where there are any."""

EventType: TypeAlias = Literal["token", "reasoning", "tool_call", "metadata", "error", "end"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One piece of a tool call. Pieces with the same ``index`` belong together; ``arguments`` is a fragment of JSON text."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of an answer. A stream closes with exactly one ``end`` or ``error``.

    ========== ====================================================================
    type       data
    ========== ====================================================================
    token      str: a piece of the answer
    reasoning  str: a piece of the model's reasoning
    tool_call  ToolCall: a piece of a tool call
    metadata   mapping: what the server tells about the call, such as ``usage``
    error      AdapterError: what went wrong; the engine raises it
    end        str or None: the finish reason (``"stop"``, ``"length"``, ``"tool_calls"``)
    ========== ====================================================================
    """

    type: EventType
    data: str | ToolCall | Mapping[str, Any] | AdapterError | None = None


@dataclass(frozen=True, repr=False)
class CallOptions:
    """How one call is made. Raises ConfigurationError.

    ``provider_config`` may be None where ``thread_id`` names a thread that has one. ``parameters`` (temperature,
    max_tokens, ...) and ``tools`` go with the call and are not identity: changing them never reloads a model.
    ``stream`` asks the server for a stream; the answer comes as events either way. ``agent``, ``priority`` (higher first;
    local slots only) and ``timeout`` (seconds from call to grant; None: the manager's; infinity: unbounded) are for
    the acquire.
    """

    provider_config: RuntimeProviderConfig | None = None
    thread_id: str | None = None
    stream: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] = ()
    agent: str | None = None
    priority: int = 0
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.provider_config is not None and not isinstance(self.provider_config, RuntimeProviderConfig):
            raise ConfigurationError("provider_config", "must be a RuntimeProviderConfig", shown(self.provider_config))
        if self.thread_id is not None and not isinstance(self.thread_id, str):
            raise ConfigurationError("thread_id", "must be a string or None", shown(self.thread_id))
        check_bool("stream", self.stream)
        if isinstance(self.tools, (str, bytes)) or not isinstance(self.tools, Sequence):
            raise ConfigurationError("tools", "must be a sequence of tool definitions", shown(self.tools))
        check_request(self.timeout, self.agent, self.priority)
        object.__setattr__(self, "parameters", freeze_options(self.parameters, "parameters"))
        tools = tuple(freeze_options(tool, f"tools[{i}]") for i, tool in enumerate(self.tools))
        object.__setattr__(self, "tools", tools)

    def __repr__(self) -> str:
        return f"CallOptions({self.provider_config!r}, parameters: {option_names(self.parameters)}, {len(self.tools)} tools)"
