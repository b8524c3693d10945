"""From the coordinator's refusals to the exceptions that users see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..config.providers import Demand
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
from ..text import fit_to_show

__all__ = ["refusal"]

_SECRET_LENGTH: Final = 4  # a shorter text is found in many words

_CONTENTION: dict[Cause, tuple[type[ContentionError], str]] = {
    Cause.LIMIT: (ProviderLimitError, "all {limit} instances of {provider!r} are in use"),
    Cause.QUEUE_FULL: (QueueFullError, "the queue for {requested} is full: max_waiting is {limit}"),
    Cause.CONFLICT: (LocalProviderConflictError, "cannot use {requested} while {holder} holds the local slot"),
    Cause.BUSY: (LocalInstanceBusyError, "{requested} is in use, with all the leases that it takes"),
    Cause.TIMED_OUT: (AcquireTimeoutError, "{requested} was not granted within {waited:.3g} s"),
}


def refusal(effect: Reject, error: BaseException | None) -> ProviderManagerError:
    """Return the exception for ``effect``; ``error`` is why the start failed, where it did, and is chained."""
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
    message += _advice(effect)
    return kind(
        message, requested=requested, holder=holder, limit=effect.limit, waited=effect.waited, agents=effect.agents
    )


def _advice(effect: Reject) -> str:
    """Return what the caller can do about it."""
    if effect.cause not in (Cause.LIMIT, Cause.CONFLICT, Cause.BUSY):
        return ""
    if effect.own:
        held = f"{effect.own} of them" if effect.cause is Cause.LIMIT else "it"
        return f"; you hold {held}: this task has to release its own lease first"
    option = "on_limit" if effect.cause is Cause.LIMIT else "on_conflict"
    return f'; {option}="wait" would queue the request'


def _instantiation(effect: Reject, error: BaseException | None) -> AdapterInstantiationError:
    if effect.cause is Cause.START_OVERDUE:
        error = TimeoutError("the start was overdue")
        why = "its start was overdue"
    else:
        why = _reason(effect.demand, error)
    result = AdapterInstantiationError(f"{effect.demand} could not be started: {why}", requested=str(effect.demand))
    result.__cause__ = error
    return result


def _reason(demand: Demand, error: BaseException | None) -> str:
    """Return what the adapter says, in one line, without what it was given as options: those may be credentials."""
    said = str(error)
    for secret in sorted(_texts(demand.adapter.options), key=len, reverse=True):
        said = said.replace(secret, "***")
    said = fit_to_show(said)
    return f"it failed with {type(error).__name__}" + (f": {said}" if said else "")


def _texts(value: object) -> Iterator[str]:
    """Yield every text in ``value`` that is long enough to be a secret."""
    if isinstance(value, str):
        if len(value) >= _SECRET_LENGTH:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
