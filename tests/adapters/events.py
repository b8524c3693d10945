"""What tests of adapters ask of a stream's events."""

from __future__ import annotations

from statemachine import AdapterError, StreamEvent


def text(events: list[StreamEvent], kind: str = "token") -> str:
    """The text of one kind, joined."""
    return "".join(str(event.data) for event in events if event.type == kind)


def failure(events: list[StreamEvent], kind: type[AdapterError]) -> AdapterError:
    """The error at the end, which must be exactly of ``kind``."""
    error = events[-1].data
    assert isinstance(error, AdapterError)
    assert type(error) is kind, repr(error)
    return error
