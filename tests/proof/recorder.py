"""A recorder: it wraps the adapters that any factory makes and records what is done to them, for oracles that look from that side."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from itertools import count
from typing import Final, NamedTuple

import trio

from statemachine.config.adapter import Adapter, AdapterConfig, AdapterFactory
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.errors import AdapterError

from .scripted import Scripted

__all__ = ["Moment", "Recorded", "Recorder"]


class Moment(NamedTuple):
    """When something happened: a number that only grows, and the virtual time in seconds."""

    number: int
    time: float


class Recorder:
    """Records every adapter that ``factory`` makes, in order. ``recorder.adapter`` is the factory for a ProviderConfig."""

    def __init__(self, factory: AdapterFactory = Scripted) -> None:
        self.adapters: list[Recorded] = []
        self._factory = factory
        self._numbers = count()

    def now(self) -> Moment:
        """This moment."""
        return Moment(next(self._numbers), trio.current_time())

    def adapter(self, config: AdapterConfig) -> Recorded:
        """Make an adapter and record it. Raises what the factory raises; then there is none."""
        adapter = Recorded(config, self._factory(config), self)
        self.adapters.append(adapter)
        return adapter

    def not_shut_down_once(self) -> list[tuple[str, int]]:
        """Model and number of shutdowns of the adapters that were not shut down exactly once."""
        return [(a.config.model_id, len(a.shutdowns)) for a in self.adapters if len(a.shutdowns) != 1]


class Recorded:
    """An adapter around ``inner``, with what was done to it."""

    def __init__(self, config: AdapterConfig, inner: Adapter, recorder: Recorder) -> None:
        self.config: Final = config
        self.inner: Final = inner
        self._recorder = recorder
        self.born = recorder.now()
        self.started = False
        self.shutdowns: list[Moment] = []
        self.down: Moment | None = None
        self.given_up = False
        self.broken_at: float | None = (
            None  # virtual seconds; by its own error, or set by a test that releases it as broken
        )
        self.open_calls = 0
        self.overlaps: list[Moment] = []  # when a call and a shutdown overlapped

    async def start(self) -> None:
        """Start the inner adapter."""
        if callable(start := getattr(self.inner, "start", None)):
            await start()
        self.started = True

    async def shutdown(self) -> None:
        """Shut the inner adapter down. Record when it began, how it ended, and whether a call was under way."""
        self.shutdowns.append(self._recorder.now())
        if self.open_calls:
            self.overlaps.append(self.shutdowns[-1])
        try:
            if callable(shutdown := getattr(self.inner, "shutdown", None)):
                await shutdown()
        except trio.Cancelled:
            self.given_up = True
            raise
        finally:
            self.down = self._recorder.now()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Pass on the stream of the inner adapter."""
        self.open_calls += 1
        if self.shutdowns:
            self.overlaps.append(self._recorder.now())
        try:
            stream = self.inner.call(prompt, options)
            try:
                async for event in stream:
                    self._note(event.data)
                    yield event
            finally:
                if callable(close := getattr(stream, "aclose", None)):
                    await close()
        except AdapterError as error:
            self._note(error)
            raise
        finally:
            self.open_calls -= 1

    def _note(self, error: object) -> None:
        if isinstance(error, AdapterError) and error.broken and not self.shutdowns:
            self.broken_at = trio.current_time()
