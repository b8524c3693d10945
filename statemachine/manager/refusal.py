"""From the model's refusals to the exceptions that users see."""

from __future__ import annotations

from ..core.events import Cause, Reject
from ..errors import (
    AcquireTimeoutError,
    AdapterInstantiationError,
    ContentionError,
    LocalInstanceBusyError,
    LocalProviderConflictError,
    ManagerClosedError,
    ProviderLimitError,
    ProviderManagerError,
    QueueFullError,
)

__all__ = ["refusal"]

_CONTENTION: dict[Cause, tuple[type[ContentionError], str]] = {
    Cause.LIMIT: (ProviderLimitError, "all {limit} instances of {provider!r} are in use"),
    Cause.QUEUE_FULL: (QueueFullError, "the queue for {requested} is full"),
    Cause.CONFLICT: (LocalProviderConflictError, "cannot use {requested} while {holder} holds the local slot"),
    Cause.BUSY: (LocalInstanceBusyError, "{requested} is in use, with all the leases that it takes"),
    Cause.TIMED_OUT: (AcquireTimeoutError, "{requested} was not granted within {waited:.3g} s"),
}


def refusal(effect: Reject, error: BaseException | None) -> ProviderManagerError:
    """The exception for ``effect``; ``error`` is why the start failed, where it did, and is chained."""
    if effect.cause is Cause.CLOSED:
        return ManagerClosedError(f"the manager closed before {effect.demand} was granted")
    if effect.cause in (Cause.START_FAILED, Cause.START_OVERDUE):
        return _instantiation(effect, error)
    kind, text = _CONTENTION[effect.cause]
    requested, holder = str(effect.demand), None if effect.holder is None else str(effect.holder)
    message = text.format(
        requested=requested,
        provider=effect.demand.provider,
        holder=holder or "another task",
        limit=effect.limit,
        waited=effect.waited,
    )
    return kind(message, requested=requested, holder=holder, limit=effect.limit, waited=effect.waited)


def _instantiation(effect: Reject, error: BaseException | None) -> AdapterInstantiationError:
    if effect.cause is Cause.START_OVERDUE:
        error = TimeoutError("the start was overdue")
    why = "its start was overdue" if effect.cause is Cause.START_OVERDUE else f"it failed with {type(error).__name__}"
    result = AdapterInstantiationError(f"{effect.demand} could not be started: {why}", requested=str(effect.demand))
    result.__cause__ = error
    return result
