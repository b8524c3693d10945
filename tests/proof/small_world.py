"""A small managed world in virtual time: one API instance, one local slot for two leases, and everything that is seen of it."""

from __future__ import annotations

from typing import Any

import trio

from statemachine.config.call import CallOptions
from statemachine.config.providers import ProviderConfig, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import ManagerClosedError
from statemachine.manager.manager import ProviderManager
from statemachine.schedules import watch

from .expect import expect, expect_error
from .made import MakeManager, engine_of
from .outside import Outside
from .recorded import Book

__all__ = ["FOR_EVER", "GRACE", "SHUTDOWN_TIMEOUT", "World", "wish"]

FOR_EVER = 1e6
SHUTDOWN_TIMEOUT = 10
GRACE = 20


def wish(model: str = "m", provider: str = "api", **options: Any) -> RuntimeProviderConfig:
    """A configuration; the options are those of :class:`Recorded`."""
    return RuntimeProviderConfig(provider, model, options)


class World:
    """Made in a running program: from then on, every step is checked."""

    def __init__(self, make: MakeManager = ProviderManager) -> None:
        self.book = Book()
        providers = [
            ProviderConfig("api", self.book.adapter, limit=1),
            ProviderConfig("local", self.book.adapter, is_local=True, parallel=2),
        ]
        config = ProviderManagerConfig(
            providers, on_conflict="wait", start_timeout=50, shutdown_timeout=SHUTDOWN_TIMEOUT, close_grace=GRACE
        )
        self.manager = make(config)
        self.outside = Outside(self.manager, self.book)
        self.engine = engine_of(self.manager)
        self.entered = trio.Event()  # or will not be any more
        watch(check=self.outside.check, state=self.outside.state)

    async def use(self, config: RuntimeProviderConfig, seconds: float) -> None:
        """Hold a lease for so long."""
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
                expect(stream.lease.released, "a stream that raised has kept its lease until its block was left")
                raise
            expect(stream.lease.released, "a stream that was read to its end has kept its lease")

    async def check_it_still_grants(self) -> None:
        """No slot is lost."""
        for provider in ("api", "local"):
            async with self.manager.acquire(wish("fresh", provider), timeout=100):
                pass

    async def check_it_is_over(self) -> None:
        """Nothing is left of a manager that has closed, and it says so."""
        self.outside.check_nothing_is_left()
        with expect_error(ManagerClosedError):
            await self.manager.get_adapter(wish())
