"""What a server's loads, unloads and switches came to: counted around the adapter, where their outcome is known."""

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

__all__ = ["Attempts", "Ledger", "LocalAdapter", "MeasuredAdapter"]


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
        """All that have ended. What is under way is not counted yet."""
        return self.successes + self.failures

    @property
    def mean_seconds(self) -> float:
        """How long one takes; 0 before the first."""
        return self.seconds / self.attempts if self.attempts else 0.0

    def and_one(self, success: bool, seconds: float) -> Attempts:
        """With one more."""
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


class Ledger:
    """One server's account. A switch is a load that takes the place of another instance; it failed if its unload or its load did."""

    def __init__(self) -> None:
        self.load = Attempts()
        self.unload = Attempts()
        self.switch = Attempts()
        self.calls: Counter[str] = Counter()
        self.live: list[MeasuredAdapter] = []
        self._gone: tuple[str, bool, float] | None = (
            None  # whom the next load replaces, whether it is out, and since when
        )

    def forget_the_last(self) -> None:
        """What was unloaded last was not unloaded for another model's sake."""
        self._gone = None

    def loaded(self, signature: str, success: bool, seconds: float) -> None:
        """A load has ended."""
        self.load = self.load.and_one(success, seconds)
        if self._gone is not None:
            before, out, began = self._gone
            self._gone = None
            if before != signature:
                self.switch = self.switch.and_one(out and success, trio.current_time() - began)

    def unloaded(self, signature: str, success: bool, seconds: float) -> None:
        """An unload of what was loaded has ended."""
        self.unload = self.unload.and_one(success, seconds)
        self._gone = signature, success, trio.current_time() - seconds


class MeasuredAdapter:
    """``adapter``, with its loads, unloads and calls entered into ``ledger``. ``down`` is set when its shutdown has ended."""

    def __init__(self, adapter: LocalAdapter, config: AdapterConfig, ledger: Ledger) -> None:
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
        """What the adapter tells of its server."""
        return await self._adapter.health()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """The adapter's answer."""
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
