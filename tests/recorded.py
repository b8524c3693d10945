"""Fake adapters that write down what is done to them, for oracles that look from the adapter's side and know nothing of the manager."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

import trio

from adapters import FakeAdapter
from statemachine import AdapterConfig, CallOptions, Message, ModelEvictedError, StreamEvent

__all__ = ["Book", "Moment", "Recorded"]


class Moment(NamedTuple):
    """When something happened: a number that only grows, and the virtual time in seconds."""

    number: int
    time: float


class Book:
    """Every adapter that was constructed, in order. ``book.adapter`` is a factory for a ProviderConfig."""

    def __init__(self) -> None:
        self.adapters: list[Recorded] = []
        self._numbers = count()

    def now(self) -> Moment:
        """This moment."""
        return Moment(next(self._numbers), trio.current_time())

    def adapter(self, config: AdapterConfig) -> Recorded:
        """A new adapter, written down."""
        adapter = Recorded(config, self)
        self.adapters.append(adapter)
        return adapter

    def not_shut_down_once(self) -> list[tuple[str, int]]:
        """Model and number of shutdowns of the adapters that were not shut down exactly once."""
        return [(a.config.model_id, len(a.shutdowns)) for a in self.adapters if len(a.shutdowns) != 1]


class Recorded(FakeAdapter):
    """A FakeAdapter with three options more.

    ``fault``: what comes of the error of ``fail_after``: an error ``event`` (as ever), ``raise``, ``truncate`` (the stream just stops) or
    ``break`` (an error that says that the instance is broken). ``cleanup_seconds``: how long a call takes to end, and
    ``cleanup_shielded``: whether it does so in spite of a cancellation.
    """

    def __init__(self, config: AdapterConfig, book: Book) -> None:
        options: dict[str, Any] = dict(config.options)
        self._fault = options.pop("fault", "event")
        self._cleanup = options.pop("cleanup_seconds", 0)
        self._shielded = options.pop("cleanup_shielded", False)
        super().__init__(replace(config, options=options))
        self._book = book
        self.born = book.now()
        self.shutdowns: list[Moment] = []
        self.down: Moment | None = None
        self.given_up = False
        self.broken_at: float | None = (
            None  # virtual seconds; set by its own fault, or by whoever releases it as broken
        )
        self.open_calls = 0
        self.overlaps: list[Moment] = []

    async def shutdown(self) -> None:
        """Write down when it began, how it ended, and whether a call was under way."""
        self.shutdowns.append(self._book.now())
        if self.open_calls:
            self.overlaps.append(self.shutdowns[-1])
        try:
            await super().shutdown()
        except trio.Cancelled:
            self.given_up = True
            raise
        finally:
            self.down = self._book.now()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """The fake's answer, with this one's fault and cleanup."""
        self.open_calls += 1
        if self.shutdowns:
            self.overlaps.append(self._book.now())
        try:
            async with aclosing(super().call(prompt, options)) as events:
                async for event in events:
                    if event.type == "error" and self._fault == "truncate":
                        return
                    yield self._spoilt(event) if event.type == "error" else event
            await trio.lowlevel.checkpoint()  # as an HTTP response does when it has been read to its end
        finally:
            try:
                await self._clean_up()
            finally:
                self.open_calls -= 1

    async def _clean_up(self) -> None:
        if self._cleanup:
            with trio.CancelScope(shield=self._shielded):
                await trio.sleep(self._cleanup)

    def _spoilt(self, event: StreamEvent) -> StreamEvent:
        if self._fault == "raise":
            assert isinstance(event.data, Exception)
            raise event.data
        if self._fault == "break":
            self.broken_at = trio.current_time()
            return StreamEvent("error", ModelEvictedError("told to break"))
        return event
