"""The threads' records in one SQLite file.

Every operation opens the file, is one transaction, and closes the file, so that there is nothing to close and nothing is bound to a thread.
It runs in a worker thread; one at a time within a store, and SQLite's own locks keep several processes apart. A record is a row of
its own, so two tasks that write different keys of one thread lose nothing. The file is made with mode 0600, which SQLite gives
its journal too, and what is overwritten or deleted is zeroed (``secure_delete``).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any, Final

import trio

from ..errors import ThreadStoreError

__all__ = ["SQLiteStore"]

APPLICATION_ID: Final = 0x736C6F74  # "slot": marks the file as ours
SCHEMA_VERSION: Final = 1
LOCK_SECONDS: Final = 10.0  # how long to wait for another process

_CREATE = (
    "CREATE TABLE record (thread_id TEXT, key TEXT, text TEXT NOT NULL, PRIMARY KEY (thread_id, key)) WITHOUT ROWID"
)


class SQLiteStore:
    """Records by thread and key, in the file at ``path``, which is made at the first use. Raises ThreadStoreError from every method."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path)  # also makes SQLite's special names (":memory:", "") ordinary ones
        self._lock = trio.Lock()

    async def read(self, thread_id: str) -> dict[str, str]:
        """The thread's records, by key; all of one moment."""
        return dict(await self._run("SELECT key, text FROM record WHERE thread_id = ?", thread_id))

    async def write(self, thread_id: str, key: str, text: str) -> None:
        """Add or replace one record."""
        await self._run("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", thread_id, key, text)

    async def delete(self, thread_id: str) -> None:
        """Remove the thread's records."""
        await self._run("DELETE FROM record WHERE thread_id = ?", thread_id)

    async def _run(self, statement: str, *arguments: str) -> list[Any]:
        async with self._lock:
            return await trio.to_thread.run_sync(self._run_sync, statement, arguments)

    def _run_sync(self, statement: str, arguments: tuple[str, ...]) -> list[Any]:
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            connection = sqlite3.connect(self._path, timeout=LOCK_SECONDS, isolation_level=None)
            with contextlib.closing(connection):
                self._prepare(connection)
                return connection.execute(statement, arguments).fetchall()
        except (OSError, sqlite3.Error) as error:
            raise ThreadStoreError(f"the thread store {self._path!r} cannot be used: {error}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make sure that the file is ours; an empty one becomes ours."""
        connection.execute("PRAGMA secure_delete = ON")
        if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
            connection.execute("BEGIN IMMEDIATE")  # another process may just have done the same
            if _number(connection, "SELECT count(*) FROM sqlite_master") == 0:
                connection.execute(_CREATE)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
            raise ThreadStoreError(f"{self._path!r} is another program's SQLite file")
        if (version := _number(connection, "PRAGMA user_version")) != SCHEMA_VERSION:
            raise ThreadStoreError(f"{self._path!r} has schema version {version}; this library reads {SCHEMA_VERSION}")


def _number(connection: sqlite3.Connection, query: str) -> int:
    (value,) = connection.execute(query).fetchone()
    return int(value)
