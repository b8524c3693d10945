"""Thread configuration: values that an application sets for one conversation, above all the provider that it uses now.

Give credentials as a provider's ``base_options``: then no thread contains any. Parts that must not be in a file in clear are left out of
it, see :mod:`.secrecy`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Protocol

import trio

from ..checks import check_bool, check_callable, check_name, option_names
from ..config.runtime import RuntimeProviderConfig
from ..errors import ConfigurationError
from ..frozen import FrozenDict
from ..manager.running import check_trio
from ..text import fit_to_show
from .record import SecretRef, SecretSource, decode, encode

__all__ = ["RUNTIME_PROVIDER_CONFIG", "StateManager", "ThreadContext", "ThreadStore"]

RUNTIME_PROVIDER_CONFIG: Final = "runtime_provider_config"
"""The key under which a thread keeps the provider it uses."""

_NEARLY: Final = 0.9


@dataclass(frozen=True, slots=True, repr=False)
class ThreadContext:
    """What a thread is configured with, at one moment.

    ``config`` has the complete values only. ``missing`` names what was left out of the file and not supplied: a
    value with such a part is not in ``config``.
    """

    thread_id: str
    config: Mapping[str, Any]
    missing: tuple[SecretRef, ...] = ()

    @property
    def runtime_provider_config(self) -> RuntimeProviderConfig | None:
        """The provider that the thread uses; None if it was never set. Raises ConfigurationError if parts of it are missing.

        It is not used without them: it might then run on the credentials of another tenant.
        """
        lost = [str(ref) for ref in self.missing if ref.key == RUNTIME_PROVIDER_CONFIG]
        if lost:
            rule = (
                f"of thread {fit_to_show(self.thread_id)!r} was not stored in clear: supply it by StateManager(secrets=...), "
                "give it as the provider's base_options, or let the file hold it by store_secrets=True and set the value again"
            )
            raise ConfigurationError(", ".join(lost), rule, "nothing")
        return self.config.get(RUNTIME_PROVIDER_CONFIG)

    def __repr__(self) -> str:
        return f"ThreadContext({fit_to_show(self.thread_id)!r}, keys: {option_names(self.config)}, missing: {len(self.missing)})"


class ThreadStore(Protocol):
    """A store of records by thread and key."""

    async def read(self, thread_id: str) -> dict[str, str]:
        """Return the thread's records by key, in one consistent read; none for an unknown thread."""
        ...

    async def write(self, thread_id: str, key: str, text: str) -> None:
        """Add or replace one record."""
        ...

    async def delete(self, thread_id: str) -> None:
        """Remove the thread's records, if it has any."""
        ...


class MemoryStore:
    """Records that live as long as the store."""

    def __init__(self) -> None:
        self._threads: dict[str, dict[str, str]] = {}

    async def read(self, thread_id: str) -> dict[str, str]:
        await trio.lowlevel.checkpoint()
        return dict(self._threads.get(thread_id, {}))

    async def write(self, thread_id: str, key: str, text: str) -> None:
        await trio.lowlevel.checkpoint()
        self._threads.setdefault(thread_id, {})[key] = text

    async def delete(self, thread_id: str) -> None:
        await trio.lowlevel.checkpoint()
        self._threads.pop(thread_id, None)


class StateManager:
    """The configuration of threads: in memory, where nothing is left out, or in an SQLite file that outlives the process.

    ``path`` is the file. Credentials are not written to it unless ``store_secrets``; what it holds already stays until
    it is overwritten or deleted. ``secrets`` supplies the left-out parts at loading. Methods may be called
    concurrently: setting one key never loses another. All of them raise ConfigurationError for bad arguments,
    ThreadStoreError where the file cannot be used, and WrongEventLoopError outside of a trio task.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        store_secrets: bool = False,
        secrets: SecretSource | None = None,
    ) -> None:
        check_bool("store_secrets", store_secrets)
        if secrets is not None:
            check_callable("secrets", secrets, "with one SecretRef")
        if path is not None:
            check_name("path", os.fspath(path) if isinstance(path, os.PathLike) else path)
        self._store: ThreadStore = MemoryStore() if path is None else _file_store(path)
        self._keep_all = path is None or store_secrets
        self._secrets = secrets

    async def set_thread_config_value(self, thread_id: str, key: str, value: Any) -> None:
        """Add or replace one value: a RuntimeProviderConfig (always, for ``"runtime_provider_config"``) or JSON-like data."""
        check_trio()
        _check_text("thread_id", thread_id)
        _check_text("key", key)
        _check_spelling(key)
        if key == RUNTIME_PROVIDER_CONFIG and not isinstance(value, RuntimeProviderConfig):
            raise ConfigurationError(key, "must be a RuntimeProviderConfig", f"a {type(value).__name__}")
        await self._store.write(thread_id, key, encode(key, value, keep_all=self._keep_all))

    async def load_thread_context(self, thread_id: str) -> ThreadContext:
        """Return a copy of what is set for the thread now; nothing for an unknown thread."""
        check_trio()
        _check_text("thread_id", thread_id)
        records = await self._store.read(thread_id)
        config: dict[str, Any] = {}
        missing: list[SecretRef] = []
        for key, text in sorted(records.items()):
            record = decode(thread_id, key, text)
            parts = [self._secrets(ref) if self._secrets else None for ref in record.left_out]
            if any(part is None for part in parts):
                missing += [ref for ref, part in zip(record.left_out, parts, strict=True) if part is None]
            else:
                config[key] = record.completed(parts)
        return ThreadContext(thread_id, FrozenDict(config), tuple(missing))

    async def runtime_provider_config(self, thread_id: str) -> RuntimeProviderConfig | None:
        """Return the provider that the thread uses now; None if it was never set. ReasoningEngine calls this.

        Raises ConfigurationError if parts of it are missing.
        """
        return (await self.load_thread_context(thread_id)).runtime_provider_config

    async def delete_thread(self, thread_id: str) -> None:
        """Forget everything about the thread; no-op for an unknown one."""
        check_trio()
        _check_text("thread_id", thread_id)
        await self._store.delete(thread_id)


def _file_store(path: str | os.PathLike[str]) -> ThreadStore:
    from .store import SQLiteStore  # only a file needs sqlite3, which not every Python has

    return SQLiteStore(path)


def _check_text(name: str, value: object) -> None:
    check_name(name, value)
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise ConfigurationError(name, "must be valid Unicode", "lone surrogates") from None


def _check_spelling(key: str) -> None:
    """Refuse a key that is nearly ``runtime_provider_config``: the engine would not find the provider under it."""
    plain = "".join(one for one in key.casefold() if one.isalnum())
    wanted = RUNTIME_PROVIDER_CONFIG.replace("_", "")
    if key != RUNTIME_PROVIDER_CONFIG and SequenceMatcher(None, plain, wanted).ratio() >= _NEARLY:
        raise ConfigurationError(
            "key", f"is a mistyped {RUNTIME_PROVIDER_CONFIG!r}: write it so", repr(fit_to_show(key))
        )
