"""A Dask cluster as an executor: what runs in worker processes of this machine runs on many machines as well."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Final

from statemachine.errors import ConfigurationError

__all__ = ["cluster"]

CONNECT_SECONDS: Final = 10


@contextmanager
def cluster(scheduler: str) -> Iterator[Executor]:
    """Yield the executor of the cluster whose scheduler is at ``scheduler``, such as ``tcp://10.0.0.1:8786``.

    What was given to a worker that is lost is given to another. Workers must have this package, in the same version. What is left when
    the block ends is cancelled. Raises ConfigurationError where no scheduler answers, or Dask is not installed.
    """
    try:
        from distributed import Client  # a large package that only this needs
    except ModuleNotFoundError:
        rule = "needs the extra 'cluster': pip install 'llm-slot-manager[cluster]'"
        raise ConfigurationError("scheduler", rule, scheduler) from None
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        rule = "must be the address of a Dask scheduler that answers"
        raise ConfigurationError("scheduler", rule, f"{scheduler} ({type(error).__name__})") from None
    with client:
        pool: Executor = client.get_executor(pure=False)
        try:
            yield pool
        finally:
            pool.shutdown(wait=False)
