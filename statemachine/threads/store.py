"""Store the threads' records in one SQLite file.

Every operation opens the file, makes one transaction in a worker thread, and closes the file. So the store needs no close, and nothing is
bound to a thread. Within a store one operation runs at a time; between processes SQLite's own locks decide. While another process has
locked the file, the operation is tried again, for at most ``LOCK_SECONDS``; a cancellation ends the wait. Each record is a row, so two
tasks that write different keys of one thread lose nothing.

The file is made with mode 0600, and SQLite gives its own files the same mode. An older file that other users may read gets that mode; if
that is not allowed, the file is refused. Overwritten and deleted content is zeroed (``secure_delete``). The content of the file is not
trusted: anything wrong with it is a ThreadStoreError.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import Any, Final

import trio

from ..errors import ThreadStoreError
from ..text import fit_to_show

__all__ = ["SQLiteStore"]

APPLICATION_ID: Final = 0x736C6F74  # "slot": marks the file as ours
SCHEMA_VERSION: Final = 1
LOCK_SECONDS: Final = 10.0  # how long to wait for another process
RECORD_LIMIT_BYTES: Final = 16_000_000

_CREATE = (
    "CREATE TABLE record (thread_id TEXT, key TEXT, text TEXT NOT NULL, PRIMARY KEY (thread_id, key)) WITHOUT ROWID"
)
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_BESIDE: Final = ("", "-journal", "-wal", "-shm")  # the file, and what SQLite keeps beside it


class SQLiteStore:
    """Records by thread and key, in the file at ``path``, which is made at the first use. Raises ThreadStoreError from every method."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(path)  # also makes SQLite's special names (":memory:", "") ordinary ones
        self._shown = repr(fit_to_show(self._path))
        self._lock = trio.Lock()

    async def read(self, thread_id: str) -> dict[str, str]:
        """Return the thread's records by key, in one consistent read."""
        rows = await self._run("SELECT key, text FROM record WHERE thread_id = ?", thread_id)
        if not all(isinstance(part, str) for row in rows for part in row):
            raise ThreadStoreError(f"the thread store {self._shown} is damaged: a record is no text")
        return dict(rows)

    async def write(self, thread_id: str, key: str, text: str) -> None:
        """Add or replace one record."""
        await self._run("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", thread_id, key, text)

    async def delete(self, thread_id: str) -> None:
        """Remove the thread's records."""
        await self._run("DELETE FROM record WHERE thread_id = ?", thread_id)

    async def _run(self, statement: str, *arguments: str) -> list[Any]:
        async with self._lock:
            end = trio.current_time() + LOCK_SECONDS
            pause = 0.005
            while True:
                try:
                    return await trio.to_thread.run_sync(self._run_sync, statement, arguments)
                except _LockedError as error:
                    if trio.current_time() >= end:
                        raise ThreadStoreError(
                            f"the thread store {self._shown} was locked by another process for {LOCK_SECONDS:g} s"
                        ) from error.__cause__
                await trio.sleep(pause)
                pause = min(2 * pause, 0.1)

    def _run_sync(self, statement: str, arguments: tuple[str, ...]) -> list[Any]:
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            with contextlib.closing(connection):
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, RECORD_LIMIT_BYTES)
                self._prepare(connection)
                return connection.execute(statement, arguments).fetchall()
        except (
            OSError,
            ValueError,
            sqlite3.Error,
            sqlite3.Warning,
        ) as error:  # ValueError: a NUL in the path, text that is none
            if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED:
                raise _LockedError from error
            raise ThreadStoreError(
                f"the thread store {self._shown} cannot be used: {fit_to_show(str(error))}"
            ) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check that the file is ours, and make it private. An empty file becomes ours. Raises ThreadStoreError."""
        connection.execute("PRAGMA secure_delete = ON")
        if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
            connection.execute("BEGIN IMMEDIATE")  # another process may just have done the same
            if _number(connection, "SELECT count(*) FROM sqlite_master") == 0:
                connection.execute(_CREATE)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
            raise ThreadStoreError(f"{self._shown} is another program's SQLite file")
        if (version := _number(connection, "PRAGMA user_version")) != SCHEMA_VERSION:
            raise ThreadStoreError(f"{self._shown} has schema version {version}; this library reads {SCHEMA_VERSION}")
        self._make_private()

    def _make_private(self) -> None:
        if os.name != "posix":
            return
        for suffix in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                path = self._path + suffix
                if stat.S_IMODE(os.stat(path).st_mode) & _OTHERS:
                    self._take_from_others(path)

    def _take_from_others(self, path: str) -> None:
        try:
            os.chmod(path, 0o600)
        except OSError as error:
            raise ThreadStoreError(
                f"the thread store {self._shown} may be read by other users, and this one may not change that: chmod 600 it"
            ) from error


class _LockedError(Exception):
    """Another process holds the file."""


_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _number(connection: sqlite3.Connection, query: str) -> int:
    (value,) = connection.execute(query).fetchone()
    return int(value)
