"""A managed world in virtual time: a manager, adapters that are recorded, and an oracle that compares the two after every step.

Example: ``World(subject, {"api": {"limit": 1}})`` has one API provider, whose adapters do as the options of a request say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from statemachine.config.adapter import AdapterFactory
from statemachine.config.call import CallOptions
from statemachine.config.providers import ProviderConfig, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import ManagerClosedError
from statemachine.schedules import watch

from .expect import expect, expect_error
from .outside import Outside
from .recorder import Recorder
from .scripted import Scripted
from .subject import Subject

__all__ = ["ENDLESS", "World", "wish"]

ENDLESS = 1e6  # seconds


def wish(model: str = "m", provider: str = "api", **options: Any) -> RuntimeProviderConfig:
    """A request's configuration; the options are those of :class:`Scripted`."""
    return RuntimeProviderConfig(provider, model, options)


class World:
    """Made in a running program: from then on, every step is checked.

    ``providers`` are the arguments of each ProviderConfig by its name, ``options`` those of the manager's configuration. ``adapter``
    makes the adapters.
    """

    def __init__(
        self,
        subject: Subject,
        providers: Mapping[str, Mapping[str, Any]],
        adapter: AdapterFactory = Scripted,
        **options: Any,
    ) -> None:
        self.recorder = Recorder(adapter)
        self.outside = Outside(self.recorder, subject)
        configs = [ProviderConfig(name, self.recorder.adapter, **arguments) for name, arguments in providers.items()]
        self.config = ProviderManagerConfig(configs, **options)
        self.manager = self.outside.manage(self.config)
        self.engine = subject.engine(self.manager)
        self.entered = trio.Event()  # or will not be any more
        watch(check=self.outside.check, state=self.outside.state)

    async def use(self, config: RuntimeProviderConfig, seconds: float) -> None:
        """Hold a lease for that time."""
        async with self.manager.acquire(config):
            await trio.sleep(seconds)

    async def stream(self, config: RuntimeProviderConfig, take: int | None = None) -> None:
        """Read all events of an answer, or the first ``take``."""
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

    async def check_it_still_grants(self, timeout: float = 100) -> None:
        """No slot is lost: each provider grants a lease of a new model within ``timeout`` seconds."""
        for provider in self.manager.available_providers:
            async with self.manager.acquire(wish("fresh", provider), timeout=timeout):
                pass

    async def check_it_is_over(self) -> None:
        """Nothing is left of a manager that has closed, and it says so."""
        self.outside.check_nothing_is_left()
        with expect_error(ManagerClosedError):
            await self.manager.get_adapter(wish())
