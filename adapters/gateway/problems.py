"""What went wrong, as HTTP says it: the one table from the library's errors to statuses.

===================================================  =======  =========================================
error                                                status   code
===================================================  =======  =========================================
the caller's request                                 400-413  ``invalid_request``, ``invalid_api_key``, ...
unknown model                                        404      ``model_not_found``
conflict, busy, limit, full queue                    429      by cause, with ``Retry-After``
no lease within the time-out                         503      ``queue_timeout``, with ``Retry-After``
the manager closes                                   503      ``closing``
the server could not load the model                  502      ``model_load_failed``, with the server's cause
the server went away, or said what makes no sense    502      ``backend_unreachable``, ``backend_error``
the server has no capacity                           503      ``backend_busy``
the server took too long                             504      ``backend_timeout``
===================================================  =======  =========================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from statemachine import (
    AcquireTimeoutError,
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterInstantiationError,
    AdapterTimeoutError,
    ConfigurationError,
    ContentionError,
    LocalInstanceBusyError,
    LocalProviderConflictError,
    ManagerClosedError,
    ModelLoadError,
    ModelNotFoundError,
    ProviderLimitError,
    ProviderManagerError,
    QueueFullError,
    UnknownProviderError,
)

__all__ = ["Problem", "problem_of"]

RETRY_AFTER_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """``type`` and ``code`` are for programs, ``message`` for people. ``retry_after`` is in seconds, where trying again makes sense."""

    status: int
    code: str
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    retry_after: float | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of an answer that is this problem."""
        return {} if self.retry_after is None else {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


_SERVER: Final = "server_error"
_LIMIT: Final = "rate_limit_error"
_BY_ERROR: Final[tuple[tuple[type[ProviderManagerError], Problem], ...]] = (
    (ConfigurationError, Problem(400, "invalid_request", "")),
    (UnknownProviderError, Problem(404, "model_not_found", "")),
    (ManagerClosedError, Problem(503, "closing", "", _SERVER, retry_after=RETRY_AFTER_SECONDS)),
    (AcquireTimeoutError, Problem(503, "queue_timeout", "", _SERVER, retry_after=RETRY_AFTER_SECONDS)),
    (QueueFullError, Problem(429, "queue_full", "", _LIMIT, retry_after=RETRY_AFTER_SECONDS)),
    (LocalProviderConflictError, Problem(429, "model_conflict", "", _LIMIT, retry_after=RETRY_AFTER_SECONDS)),
    (LocalInstanceBusyError, Problem(429, "model_busy", "", _LIMIT, retry_after=RETRY_AFTER_SECONDS)),
    (ProviderLimitError, Problem(429, "provider_limit", "", _LIMIT, retry_after=RETRY_AFTER_SECONDS)),
    (ContentionError, Problem(429, "contention", "", _LIMIT, retry_after=RETRY_AFTER_SECONDS)),
    (ModelNotFoundError, Problem(404, "model_not_found", "")),
    (ModelLoadError, Problem(502, "model_load_failed", "", _SERVER)),
    (AdapterConnectError, Problem(502, "backend_unreachable", "", _SERVER, retry_after=RETRY_AFTER_SECONDS)),
    (AdapterTimeoutError, Problem(504, "backend_timeout", "", _SERVER)),
    (AdapterBusyError, Problem(503, "backend_busy", "", _SERVER, retry_after=RETRY_AFTER_SECONDS)),
    (AdapterError, Problem(502, "backend_error", "", _SERVER)),
    (ProviderManagerError, Problem(500, "internal_error", "", _SERVER)),
)


def problem_of(error: ProviderManagerError) -> Problem:
    """Return the problem that ``error`` is to the client. A failed start is told by its cause."""
    cause = error.__cause__
    if isinstance(error, AdapterInstantiationError):
        known = problem_of(cause) if isinstance(cause, AdapterError) else Problem(502, "model_load_failed", "", _SERVER)
        return replace(known, message=str(error))
    problem = next(problem for kind, problem in _BY_ERROR if isinstance(error, kind))
    asked = getattr(error, "retry_after", None)
    return replace(problem, message=str(error), retry_after=problem.retry_after if asked is None else asked)
