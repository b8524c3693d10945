"""The faults that a back door may plant: what the server does wrong, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

__all__ = ["CALL_FAULTS", "FAULTS", "SHUTDOWN_FAULTS", "START_FAULTS", "Fault", "Moment"]

Moment: TypeAlias = Literal["start", "call", "shutdown"]


@dataclass(frozen=True, slots=True)
class Fault:
    """``fails``: whether what it hits must fail. ``retryable``: what the error must say of repeating (None: either)."""

    name: str
    hits: Moment
    sentence: str
    fails: bool = True
    retryable: bool | None = None


_ALL: Final = (
    Fault("load_fails", "start", "the server has the model and cannot load it"),
    Fault("load_silent", "start", "the server never answers a request to load"),
    Fault("load_lost", "start", "the server loads the model, and its answer to the request is lost", fails=False),
    Fault("foreign", "start", "another program loads the same model for itself, before our start", fails=False),
    Fault("busy", "call", "the call is refused for lack of capacity", retryable=True),
    Fault("refused", "call", "the call is refused as it stands (such as status 400)", retryable=False),
    Fault("unauthorised", "call", "the credentials are refused, and quoted in the message", retryable=False),
    Fault("denied", "call", "the call is refused as if the model were not found, while it is loaded", retryable=False),
    Fault("error_body", "call", "the answer is an error with status 200"),
    Fault("error_in_stream", "call", "an error stands inside the stream, after some pieces"),
    Fault("gone", "call", "nobody answers at the server's address", retryable=True),
    Fault("cut", "call", "the connection breaks after some pieces", retryable=True),
    Fault("truncated", "call", "the body ends properly after some pieces, without its closing event"),
    Fault("silent", "call", "the server takes the call and never answers", retryable=True),
    Fault("stalled", "call", "the server falls silent after some pieces", retryable=True),
    Fault("evicted", "call", "another program unloads the model after some pieces"),
    Fault("odd", "call", "a whole answer in an odd shape: comments, empty pieces, pieces cut anywhere", fails=False),
    Fault("unload_lost", "shutdown", "the first request to unload is lost", fails=False),
    Fault("unload_silent", "shutdown", "the server never answers a request to unload"),
)
FAULTS: Final = {fault.name: fault for fault in _ALL}
START_FAULTS: Final = tuple(fault.name for fault in _ALL if fault.hits == "start")
CALL_FAULTS: Final = tuple(fault.name for fault in _ALL if fault.hits == "call")
SHUTDOWN_FAULTS: Final = tuple(fault.name for fault in _ALL if fault.hits == "shutdown")
