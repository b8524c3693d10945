"""SQLAlchemy's ``QueuePool``, of connections that are nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy.pool import QueuePool


class _Nothing:
    """A connection as DBAPI has it, as far as a pool looks at it."""

    def close(self) -> None:
        pass

    def rollback(self) -> None:
        pass


def warm(places: int, waiters: int, operations: int) -> Callable[[], float]:
    """A round of checking out and in what is free."""
    pool = QueuePool(_Nothing, pool_size=places, max_overflow=0, timeout=60)

    def make_round() -> float:
        began = time.process_time()
        for _ in range(operations):
            pool.connect().close()
        return (time.process_time() - began) / operations

    return make_round


def contended(places: int, waiters: int, operations: int) -> Callable[[], float]:
    """A round of hand-offs between threads, each of which gives way once."""
    pool = QueuePool(_Nothing, pool_size=places, max_overflow=0, timeout=60)

    def client() -> None:
        for _ in range(operations // waiters):
            connection = pool.connect()
            time.sleep(0)
            connection.close()

    def make_round() -> float:
        threads = [threading.Thread(target=client) for _ in range(waiters)]
        began = time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (time.process_time() - began) / (operations // waiters * waiters)

    return make_round
