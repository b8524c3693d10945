"""Servers that are open in a trio run: each has a task that keeps it open until its last user leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import trio

from statemachine.manager.manager import ProviderManager
from statemachine.manager.observing import Observer

from ..http.library import Transport

__all__ = ["Hosted", "ServerSettings", "open_servers"]


class _Server(Protocol):
    @property
    def manager(self) -> ProviderManager: ...


ServerT = TypeVar("ServerT", bound=_Server)


@dataclass(frozen=True)
class ServerSettings:
    """The settings with which a server is opened. Opened again with settings, these must be the same."""

    parallel: int
    transport: Transport | None
    options: Mapping[str, Any]
    manager: Mapping[str, Any]
    observers: tuple[Observer, ...] = ()


class Hosted(Generic[ServerT]):
    """One open server, in a system task of the run, until its last user has left."""

    def __init__(self, server: ServerT, settings: ServerSettings) -> None:
        self.server = server
        self.settings = settings
        self.users = 0
        self.opened = trio.Event()
        self.left = trio.Event()
        self.ended = trio.Event()
        self.scope = trio.CancelScope()
        self.error: BaseException | None = None

    async def live(self) -> None:
        """Run the task that keeps the server open. An error is kept for the last user, because a system task must not raise."""
        try:
            with self.scope:
                async with self.server.manager:
                    self.opened.set()
                    await self.left.wait()
        except trio.Cancelled:
            raise
        except BaseException as error:
            self.error = error
        finally:
            self.opened.set()
            self.ended.set()


_open: trio.lowlevel.RunVar[dict[str, Hosted[Any]]] = trio.lowlevel.RunVar("open LM Studio servers")


def open_servers() -> dict[str, Hosted[Any]]:
    """Return the open servers of the present trio run, by base URL."""
    try:
        return _open.get()
    except LookupError:
        _open.set({})
        return _open.get()
