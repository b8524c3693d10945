"""What an error says about a load, an unload or an instance. Nothing is taken for an eviction here: that the list shows."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from statemachine.errors import (
    AdapterBusyError,
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    ContextLengthError,
    ModelEvictedError,
    ModelNotFoundError,
)

from .server import ALREADY_RUNNING

__all__ = ["LoadState", "after_refusal", "left_unanswered", "may_be_eviction", "may_pass", "not_evicted"]

LoadState: TypeAlias = Literal["none", "open", "doubtful", "owned"]
"""What is known of a load of ours: there is none; it may be under way; it may have happened; it is loaded, and ours."""

_NO_SUCH_ENDPOINT: Final = "unexpected_endpoint"


def may_pass(error: AdapterError) -> bool:
    """Return whether the same request may succeed later."""
    return error.retryable or isinstance(error, AdapterProtocolError) or (error.status or 0) >= 500


def after_refusal(error: AdapterError) -> LoadState:
    """Return what is known of a load answered by an error: an answer that makes no sense says nothing, one that may pass little."""
    if not may_pass(error) or error.code in (_NO_SUCH_ENDPOINT, ALREADY_RUNNING):
        return "none"
    succeeded = error.status is None or 200 <= error.status < 300
    return "open" if isinstance(error, AdapterProtocolError) and succeeded else "doubtful"


def may_be_eviction(error: AdapterError) -> bool:
    """Return whether an instance that is gone could be the cause."""
    if isinstance(error, (AdapterBusyError, ContextLengthError)):
        return False
    return not isinstance(error, AdapterRequestError) or isinstance(error, ModelNotFoundError)


def not_evicted(error: AdapterError) -> AdapterError:
    """Return the error of a call whose instance is loaded as it was: then it says nothing of the instance, which can be used on."""
    if not isinstance(error, ModelEvictedError):
        return error
    if error.status is None:  # it said so in the middle of an answer, which is lost; the model has come back since
        error.broken = False
        return error
    return AdapterError(
        str(error), status=error.status, type=error.type, code=error.code, param=error.param, retryable=False
    )


def left_unanswered(error: AdapterError) -> bool:
    """Return whether a call that failed so was given up here, while the server may be at work on it."""
    return isinstance(error, AdapterTimeoutError) and error.status is None
