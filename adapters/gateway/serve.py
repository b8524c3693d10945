"""The gateway as a process: open the manager, listen, and end in an orderly way.

The first SIGTERM or SIGINT *drains*: new requests are refused (503), requests under way end, then the models that were loaded here
are unloaded and the process ends. A second signal ends it at once.
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from statemachine import ConfigurationError, ProviderManager, ProviderManagerError, RuntimeProviderConfig
from statemachine.core.coordinator import Coordinator
from statemachine.journal.writer import Journal

from .app import application
from .catalogue import Catalogue, ListModels
from .gateway import Gateway, GatewayObservers
from .http1 import ClientBounds, serve_http
from .listing import ask_for_models
from .recording import Recorder
from .recovering import owning
from .settings import GatewaySettings
from .unloading import unload_in_time

__all__ = ["listening", "open_gateway", "run"]

log = logging.getLogger(__name__)

CLIENT_IDLE_SECONDS: Final = 75.0
"""How long an idle connection of a client is kept: longer than usual clients keep theirs, so that none uses one that just closes."""
PAGES_SECONDS: Final = 5.0
"""How long answers of the gateway's own may go on when it has drained."""
BACKLOG: Final = 1024
"""How many clients may connect at the same moment."""
SIGHUP: Final = getattr(signal, "SIGHUP", None)  # not on Windows
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, *([] if SIGHUP is None else [SIGHUP]))


@asynccontextmanager
async def open_gateway(
    settings: GatewaySettings,
    *,
    list_models: ListModels = ask_for_models,
    journal: Journal | None = None,
    recorder: Recorder | None = None,
) -> AsyncIterator[Gateway]:
    """Open the manager and a gateway on it, for the length of the block. Models to preload are being loaded when it begins.

    Every decision is written to ``journal``, the workload to ``recorder``.
    """
    core = Coordinator if journal is None else journal.core
    observers = GatewayObservers()
    async with (
        owning(settings),
        ProviderManager(settings.manager, observers=observers.all(), core=core) as manager,
        trio.open_nursery() as nursery,
    ):
        gateway = Gateway(settings, manager, Catalogue(settings, list_models), observers, recorder)
        nursery.start_soon(unload_in_time, gateway)
        for provider in settings.providers:
            for model in provider.preload:
                nursery.start_soon(_preload, manager, provider.name, model)
        yield gateway
        nursery.cancel_scope.cancel()


async def _preload(manager: ProviderManager, provider: str, model: str) -> None:
    try:
        async with manager.acquire(RuntimeProviderConfig(provider, model), agent="preload"):
            log.info("%s/%s is loaded", provider, model)
    except ProviderManagerError as error:
        log.warning("%s/%s could not be loaded: %s", provider, model, error)


@asynccontextmanager
async def listening(gateway: Gateway) -> AsyncIterator[str]:
    """Serve over HTTP for the length of the block, which gets the base URL. Port 0 takes a free one. Raises OSError."""
    listener = _listener(gateway.settings.host, gateway.settings.port)
    bounds = ClientBounds(
        idle_seconds=CLIENT_IDLE_SECONDS,
        reader_seconds=lambda: gateway.settings.reader_seconds,
        connections=lambda: gateway.settings.connections_limit,
    )
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, application(gateway), listener, bounds)
        yield _url(listener.socket.getsockname())
        nursery.cancel_scope.cancel()


def _listener(host: str, port: int) -> trio.SocketListener:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.create_server((host, port), family=family, backlog=BACKLOG)
    return trio.SocketListener(trio.socket.from_stdlib_socket(opened))


def _url(address: Sequence[object]) -> str:
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"


async def run(
    settings: GatewaySettings,
    say: Sequence[str] = (),
    journal: Journal | None = None,
    recorder: Recorder | None = None,
    read_again: Callable[[], GatewaySettings] | None = None,
) -> None:
    """Serve until a signal ends it. SIGHUP calls ``read_again`` for new settings. Raises OSError where the address cannot be had."""
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            opened = open_gateway(settings, journal=journal, recorder=recorder)
            async with opened as gateway, listening(gateway) as url:
                for line in (*say, f"listening on {url}"):
                    print(line, flush=True)
                nursery.start_soon(_watch_signals, signals, gateway, read_again, nursery.cancel_scope)
                await gateway.draining.wait()
                log.info("draining: %d requests are under way; a signal ends at once", gateway.requests.count)
                await gateway.requests.none.wait()
                with trio.move_on_after(PAGES_SECONDS):
                    await gateway.pages.none.wait()
            nursery.cancel_scope.cancel()


async def _watch_signals(
    signals: AsyncIterator[int],
    gateway: Gateway,
    read_again: Callable[[], GatewaySettings] | None,
    scope: trio.CancelScope,
) -> None:
    """Drain at the first signal, end at one that comes while the gateway drains. SIGHUP reads the settings again."""
    async for number in signals:
        if number == SIGHUP:
            _reload(gateway, read_again)
        elif gateway.draining.is_set():
            scope.cancel()
            return
        else:
            gateway.draining.set()


def _reload(gateway: Gateway, read_again: Callable[[], GatewaySettings] | None) -> None:
    """Take over all of the new settings, or nothing: where they have an error, the old ones stay."""
    if read_again is None:
        log.warning("there is no configuration file to read again")
        return
    try:
        gateway.reload(read_again())
    except ConfigurationError as error:
        log.warning("the configuration stays as it was: %s", error)
    else:
        log.warning("the configuration was read again: aliases, limits, times and token are new")
