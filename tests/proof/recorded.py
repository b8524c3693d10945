"""Adapters that do as they are told and write down what is done to them, for oracles that look from the adapter's side.

They know nothing of the manager, and nothing of the adapters that users are given.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from itertools import count
from typing import Any, Final, Literal, NamedTuple

import trio

from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.errors import AdapterConnectError, ModelEvictedError, ModelLoadError

__all__ = ["Book", "Moment", "Recorded"]

Fault = Literal["event", "raise", "truncate", "break"]


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
        """A new adapter, written down. Raises OSError if its option ``fail_construction`` is true."""
        if config.options.get("fail_construction"):
            raise OSError("told to fail its construction")
        adapter = Recorded(config, self)
        self.adapters.append(adapter)
        return adapter

    def not_shut_down_once(self) -> list[tuple[str, int]]:
        """Model and number of shutdowns of the adapters that were not shut down exactly once."""
        return [(a.config.model_id, len(a.shutdowns)) for a in self.adapters if len(a.shutdowns) != 1]


class Recorded:
    """An adapter whose options say how long everything takes and what goes wrong.

    ``load_seconds``, ``unload_seconds``, ``fail_start``, ``fail_shutdown``: the start and the shutdown, and whether they fail in the end.
    ``succeed_late``: an interrupted start succeeds all the same.
    ``first_token_seconds``, ``token_seconds``: a stream, which echoes the last message. ``fail_after``: after so many tokens comes an
    error, and ``fault`` says how: an error ``event``, ``raise``, ``truncate`` (the stream just stops), or ``break`` (an error that says
    that the instance is broken). ``cleanup_seconds``: how long a call takes to end, and ``cleanup_shielded``: whether it does so in
    spite of a cancellation. Where no time is to pass there is a checkpoint all the same.
    """

    def __init__(self, config: AdapterConfig, book: Book) -> None:
        self.config: Final = config
        self._options: dict[str, Any] = dict(config.options)
        self._book = book
        self.born = book.now()
        self.started = False
        self.shutdowns: list[Moment] = []
        self.down: Moment | None = None
        self.given_up = False
        self.broken_at: float | None = (
            None  # virtual seconds; set by its own fault, or by whoever releases it as broken
        )
        self.open_calls = 0
        self.overlaps: list[Moment] = []  # when a call and a shutdown overlapped

    async def start(self) -> None:
        """Take ``load_seconds``. Raises ModelLoadError if told to."""
        try:
            await trio.sleep(self._options.get("load_seconds", 0))
        except trio.Cancelled:
            if not self._options.get("succeed_late"):
                raise
        if self._options.get("fail_start"):
            raise ModelLoadError("told to fail its start")
        self.started = True

    async def shutdown(self) -> None:
        """Write down when it began, how it ended, and whether a call was under way. Raises AdapterConnectError if told to."""
        self.shutdowns.append(self._book.now())
        if self.open_calls:
            self.overlaps.append(self.shutdowns[-1])
        try:
            await trio.sleep(self._options.get("unload_seconds", 0))
            if self._options.get("fail_shutdown"):
                raise AdapterConnectError("told to fail its shutdown")
        except trio.Cancelled:
            self.given_up = True
            raise
        finally:
            self.down = self._book.now()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """The last message, word by word, and ``end``; or what is to go wrong."""
        self.open_calls += 1
        if self.shutdowns:
            self.overlaps.append(self._book.now())
        try:
            await trio.sleep(self._options.get("first_token_seconds", 0))
            for number, word in enumerate(str(prompt[-1]["content"]).split()):
                if number == self._options.get("fail_after"):
                    break
                await trio.sleep(self._options.get("token_seconds", 0))
                if self.shutdowns:
                    yield StreamEvent("error", ModelEvictedError("shut down in the middle of a call"))
                    return
                yield StreamEvent("token", word)
            if "fail_after" not in self._options:
                yield StreamEvent("end", "stop")
            elif (event := self._fault()) is not None:
                yield event
            await trio.lowlevel.checkpoint()  # as an HTTP response does when it has been read to its end
        finally:
            try:
                await self._clean_up()
            finally:
                self.open_calls -= 1

    async def _clean_up(self) -> None:
        if seconds := self._options.get("cleanup_seconds"):
            with trio.CancelScope(shield=self._options.get("cleanup_shielded", False)):
                await trio.sleep(seconds)

    def _fault(self) -> StreamEvent | None:
        fault: Fault = self._options.get("fault", "event")
        error = AdapterConnectError("told to fail its stream")
        if fault == "truncate":
            return None
        if fault == "raise":
            raise error
        if fault == "break":
            self.broken_at = trio.current_time()
            return StreamEvent("error", ModelEvictedError("told to break"))
        return StreamEvent("error", error)
