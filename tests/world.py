"""A small managed world for tests in virtual time: one API instance, one local slot for two leases, adapters that write things down."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from statemachine import (
    CallOptions,
    ManagerClosedError,
    Observer,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
)

from .checked import checked, complaints
from .recorded import Book

__all__ = ["FOR_EVER", "GRACE", "SHUTDOWN_TIMEOUT", "World", "wish"]

FOR_EVER = 1e6
SHUTDOWN_TIMEOUT = 10
GRACE = 20


def wish(model: str = "m", provider: str = "api", **options: Any) -> RuntimeProviderConfig:
    """A configuration; the options are those of :class:`tests.recorded.Recorded`."""
    return RuntimeProviderConfig(provider, model, options)


class World:
    """A manager with one API instance and one local slot for two leases, and what its adapters saw."""

    def __init__(self, *observers: Observer) -> None:
        self.book = Book()
        providers = [
            ProviderConfig("api", self.book.adapter, limit=1),
            ProviderConfig("local", self.book.adapter, is_local=True, parallel=2),
        ]
        config = ProviderManagerConfig(
            providers, on_conflict="wait", start_timeout=50, shutdown_timeout=SHUTDOWN_TIMEOUT, close_grace=GRACE
        )
        self.manager = checked(ProviderManager(config, observers=observers))
        self.engine = ReasoningEngine(self.manager)
        self.entered = trio.Event()  # or will not be any more

    async def use(self, config: RuntimeProviderConfig, seconds: float) -> None:
        async with self.manager.acquire(config):
            await trio.sleep(seconds)

    async def stream(self, config: RuntimeProviderConfig, take: int | None = None) -> None:
        """All events of an answer, or the first few."""
        options = CallOptions(provider_config=config)
        async with self.engine.call([{"role": "user", "content": "one two three"}], options) as stream:
            taken = 0
            try:
                async for _ in stream:
                    taken += 1
                    if taken == take:
                        return
            except BaseException:
                assert stream.lease.released  # at once, not only where the block is left
                raise
            assert stream.lease.released

    def assert_nobody_is_served(self) -> None:
        for p in self.manager.statistics().providers.values():
            assert (p.waiting, p.assigned, p.active, p.draining) == (0, 0, 0, 0)
        assert all(s.leases == 0 for s in self.manager.statistics().slots.values())

    async def assert_it_still_grants(self) -> None:
        for provider in ("api", "local"):
            async with self.manager.acquire(wish("fresh", provider), timeout=100):
                pass

    async def assert_it_is_over(self) -> None:
        assert complaints(self.manager) == []
        assert self.book.not_shut_down_once() == []
        self.assert_nobody_is_served()
        assert all(p.live == 0 for p in self.manager.statistics().providers.values())
        with pytest.raises(ManagerClosedError):
            await self.manager.get_adapter(wish())
