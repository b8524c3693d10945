"""What an adapter must return and yield. What it does instead is told with the adapter's name and with what to write."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any, Final
from weakref import WeakSet

from ..config.call import StreamEvent, ToolCall
from ..errors import AdapterError, AdapterProtocolError
from ..text import fit_to_show

__all__ = ["check_adapter", "check_awaitable", "check_event", "check_stream", "name_of"]

_DATA: Final[dict[str, tuple[type[Any] | tuple[type[Any], ...], str]]] = {
    "token": (str, "a str"),
    "reasoning": (str, "a str"),
    "tool_call": (ToolCall, "a ToolCall"),
    "metadata": (Mapping, "a mapping"),
    "error": (AdapterError, "an AdapterError"),
    "end": ((str, type(None)), "a str or None"),
}


def name_of(thing: object) -> str:
    """Return the name of a factory, a class, or an object's class."""
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    return str(name)


def check_adapter(adapter: Any, factory: object) -> None:
    """Check what ``factory`` has returned. Raises TypeError if it is no adapter."""
    name = f"the factory {name_of(factory)}"
    if inspect.isawaitable(adapter):
        _discard(adapter)
        raise TypeError(
            f"{name} must return an adapter, not an awaitable: load the model in the adapter's async start()"
        )
    if adapter is None:
        raise TypeError(f"{name} returned None instead of an adapter")
    if isinstance(adapter, type):
        raise TypeError(f"{name} returned the class {adapter.__qualname__} instead of an adapter")
    if not callable(getattr(adapter, "call", None)):
        raise TypeError(f"{name} returned {_a(adapter)}, which has no method call(prompt, options)")
    if not _takes_two(adapter.call):
        raise TypeError(f"{name} returned {_a(adapter)}, whose method call does not take (prompt, options)")


def check_awaitable(result: Any, name: str) -> None:
    """Check what the method ``name`` of an adapter has returned. Raises TypeError if it cannot be awaited."""
    if not inspect.isawaitable(result):
        raise TypeError(f"{name}() must be an async function; it returned {_a(result)}")


def check_stream(events: Any, name: str) -> AsyncIterator[StreamEvent]:
    """Check what ``call`` of the adapter ``name`` has returned. Raises AdapterProtocolError if it is no stream."""
    if hasattr(events, "__anext__"):
        stream: AsyncIterator[StreamEvent] = events
        return stream
    with suppress(TypeError):  # its own __aiter__ makes no iterator
        if hasattr(events, "__aiter__") and hasattr(stream := aiter(events), "__anext__"):
            return stream
    if inspect.isawaitable(events):
        _discard(events)
        found = "an awaitable: an async function that yields must not be awaited, and one that returns makes no stream"
    else:
        found = _a(events)
    raise AdapterProtocolError(f"{name}.call() must be an async generator of StreamEvent; it returned {found}")


def check_event(event: Any, name: str) -> StreamEvent:
    """Check an event that ``call`` of the adapter ``name`` has yielded. Raises AdapterProtocolError if it is no event of a stream."""
    if not isinstance(event, StreamEvent):
        raise AdapterProtocolError(
            f"{name}.call() must yield StreamEvent, such as StreamEvent('token', 'text'); it yielded {_a(event)}"
        )
    expected = _DATA.get(event.type) if isinstance(event.type, str) else None
    if expected is None:
        raise AdapterProtocolError(
            f"{name}.call() yielded an event of an unknown type; the types are {', '.join(_DATA)}"
        )
    kind, wanted = expected
    if isinstance(event.data, kind):
        return event
    if event.type == "error" and isinstance(event.data, (str, Exception)):
        raise AdapterProtocolError(f"{name} reports an error without its class: {fit_to_show(str(event.data))}")
    raise AdapterProtocolError(f"{name}.call() yielded {event.type!r} with {_a(event.data)}; its data must be {wanted}")


_take_two: Final[WeakSet[FunctionType]] = WeakSet()
"""Functions that were found to do so: each start asks, and reading a signature takes as long as the rest of the start."""


def _takes_two(method: Any) -> bool:
    """Return whether ``method`` can be called with two arguments, as far as its signature tells."""
    function = getattr(method, "__func__", None)
    if isinstance(function, FunctionType) and function in _take_two:
        return True
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(None, None)
    except TypeError:
        return False
    if isinstance(function, FunctionType):
        _take_two.add(function)
    return True


def _discard(awaitable: object) -> None:
    """Never awaited, and no warning about it."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


def _a(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__qualname__}"
