"""Count the loads, unloads and switches of a server, and measure their times. This is done around the adapter, which knows the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import trio

from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent

from ..http.health import Health

__all__ = ["Attempts", "LocalAdapter", "MeasuredAdapter", "ServerCounts"]


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often something was done, with what success, and how long it took (seconds, failures included)."""

    successes: int = 0
    failures: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0
    most_seconds: float = 0.0

    @property
    def attempts(self) -> int:
        """How many have ended. Those under way are not counted."""
        return self.successes + self.failures

    @property
    def mean_seconds(self) -> float:
        """The mean time of one; 0 before the first."""
        return self.seconds / self.attempts if self.attempts else 0.0

    def and_one(self, success: bool, seconds: float) -> Attempts:
        """Return the attempts with one more."""
        return Attempts(
            self.successes + success,
            self.failures + (not success),
            self.seconds + seconds,
            seconds,
            max(self.most_seconds, seconds),
        )


class LocalAdapter(Protocol):
    """An adapter of a local server."""

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def health(self) -> Health: ...

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]: ...


class ServerCounts:
    """The counts of one server. A switch is a load that replaces another instance; it failed if its unload or its load failed."""

    def __init__(self) -> None:
        self.load = Attempts()
        self.unload = Attempts()
        self.switch = Attempts()
        self.calls: Counter[str] = Counter()
        self.live: list[MeasuredAdapter] = []
        # what the next load replaces: its signature, whether its unload succeeded, and when that began
        self._gone: tuple[str, bool, float] | None = None

    def forget_the_last(self) -> None:
        """Record that the last unload was not the first half of a switch."""
        self._gone = None

    def loaded(self, signature: str, success: bool, seconds: float) -> None:
        """Count a load that has ended."""
        self.load = self.load.and_one(success, seconds)
        if self._gone is not None:
            before, out, began = self._gone
            self._gone = None
            if before != signature:
                self.switch = self.switch.and_one(out and success, trio.current_time() - began)

    def unloaded(self, signature: str, success: bool, seconds: float) -> None:
        """Count an unload that has ended."""
        self.unload = self.unload.and_one(success, seconds)
        self._gone = signature, success, trio.current_time() - seconds


class MeasuredAdapter:
    """An adapter around ``adapter`` that counts its loads, unloads and calls in ``ledger``. ``down`` is set at the end of its shutdown."""

    def __init__(self, adapter: LocalAdapter, config: AdapterConfig, ledger: ServerCounts) -> None:
        self.config = config
        self.down = trio.Event()
        self.unload_error: Exception | None = None
        self._adapter = adapter
        self._ledger = ledger
        self._loaded = False

    async def start(self) -> None:
        """Start the adapter."""
        with _timed(lambda success, seconds: self._ledger.loaded(self.config.config_signature, success, seconds)):
            await self._adapter.start()
            self._loaded = True
            self._ledger.live.append(self)

    async def shutdown(self) -> None:
        """Shut the adapter down."""
        try:
            if not self._loaded:
                await self._adapter.shutdown()
                return
            self._ledger.live.remove(self)
            with _timed(lambda success, seconds: self._ledger.unloaded(self.config.config_signature, success, seconds)):
                await self._adapter.shutdown()
        except Exception as error:
            self.unload_error = error
            raise
        finally:
            self.down.set()

    async def health(self) -> Health:
        """Return the health of the server, as the adapter sees it."""
        return await self._adapter.health()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Yield the adapter's answer."""
        self._ledger.calls[self.config.model_id] += 1
        async with aclosing(self._adapter.call(prompt, options)) as events:
            async for event in events:
                yield event


@contextmanager
def _timed(note: Callable[[bool, float], None]) -> Iterator[None]:
    began, success = trio.current_time(), False
    try:
        yield
        success = True
    finally:
        note(success, trio.current_time() - began)
