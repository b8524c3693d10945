"""Share one LMStudioSingleton between all users of a server: open it, join it, and close it behind the last user."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any

import trio

from statemachine.config.identity import public_url
from statemachine.errors import ConfigurationError
from statemachine.manager.hosting import Host
from statemachine.manager.observing import Observer

from ..http.library import Transport
from ..http.options import check_base_url
from ..lmstudio import LMStudioAdapter
from .home import in_trio
from .hosted import Hosted, ServerSettings, open_servers
from .lmstudio_singleton import LMStudioSingleton

__all__ = ["SharedServer", "get_lmstudio_singleton"]


@asynccontextmanager
async def _shared(base_url: str, settings: ServerSettings) -> AsyncGenerator[LMStudioSingleton, None]:
    """Open the server, or join its users. The last user that leaves closes it, and waits until it is closed."""
    hosted = await _joined(base_url, settings)
    grace = False
    try:
        yield hosted.server
        grace = True
    finally:
        hosted.users -= 1
        if hosted.users == 0:
            await _closed(hosted, grace)


async def _joined(base_url: str, settings: ServerSettings) -> Hosted[LMStudioSingleton]:
    servers, url = open_servers(), public_url(base_url)
    while url in servers and servers[url].left.is_set():
        await servers[url].ended.wait()
    hosted: Hosted[LMStudioSingleton] | None = servers.get(url)
    if hosted is None:
        hosted = servers[url] = Hosted(LMStudioSingleton(base_url, settings), settings)
        trio.lowlevel.spawn_system_task(hosted.live)
    elif settings not in (hosted.settings, ServerSettings(1, hosted.settings.transport, {}, {})):
        raise ConfigurationError("settings", f"must be those with which {url} is open already", "others")
    hosted.users += 1
    with trio.CancelScope(shield=True):
        await hosted.opened.wait()
    return hosted


async def _closed(hosted: Hosted[LMStudioSingleton], grace: bool) -> None:
    hosted.left.set()
    if not grace:
        hosted.scope.cancel()
    try:
        await hosted.ended.wait()
    except trio.Cancelled:
        hosted.scope.cancel()
        with trio.CancelScope(shield=True):
            await hosted.ended.wait()
        raise
    finally:
        del open_servers()[hosted.server.base_url]
    if hosted.error is not None:
        raise hosted.error


class SharedServer:
    """The context manager that :func:`get_lmstudio_singleton` returns, for trio and for asyncio."""

    def __init__(self, base_url: str, settings: ServerSettings) -> None:
        self._make = partial(_shared, base_url, settings)

    async def __aenter__(self) -> LMStudioSingleton:
        shared = self._make()
        self._entered = shared if in_trio() else Host(shared)
        return await self._entered.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._entered.__aexit__(kind, error, trace)


def get_lmstudio_singleton(
    base_url: str = LMStudioAdapter.default_base_url,
    *,
    parallel: int = 1,
    transport: Transport | None = None,
    manager: Mapping[str, Any] | None = None,
    observers: Sequence[Observer] = (),
    **options: Any,
) -> SharedServer:
    """Open the coordinator of a server, or join it: ``async with get_lmstudio_singleton(base_url) as server``.

    There is one for each normalised base URL and trio run, open until its last user leaves. Programs on asyncio and threads share the
    background run. ``parallel``: how many callers use the model at once. ``manager``: further settings of a ProviderManagerConfig, such as
    its policy. ``observers``: those of the manager. ``options``: options of :class:`LMStudioAdapter` for every model, such as
    ``api_token``. A later user may give no settings, or the same as the first. Raises ConfigurationError for others.
    """
    check_base_url("base_url", base_url)
    return SharedServer(
        base_url, ServerSettings(parallel, transport, dict(options), dict(manager or {}), tuple(observers))
    )
