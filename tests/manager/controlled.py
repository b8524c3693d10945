"""Adapters whose every start, answer and shutdown ends when, and how, the test says; and agents that do what they are told."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Literal, TypeAlias

import trio

from statemachine import (
    AdapterConfig,
    CallOptions,
    Lease,
    Message,
    ModelEvictedError,
    ProviderManager,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
)
from statemachine.errors import (
    AdapterConnectError,
    AdapterError,
    AdapterInstantiationError,
    ContentionError,
    LeaseReleasedError,
    ManagerClosedError,
)

__all__ = ["PIECES", "Agent", "Controlled", "Controls", "Piece"]

Piece: TypeAlias = Literal["token", "end", "error", "broken", "raise", "truncate"]
PIECES: tuple[Piece, ...] = ("token", "token", "end", "error", "broken", "raise", "truncate")
Phase: TypeAlias = Literal[
    "constructed", "starting", "up", "start failed", "stopping", "down", "stop failed", "given up"
]


class Controls:
    """All adapters, in the order of their construction. ``free``: from now on nothing has to be told to end."""

    def __init__(self) -> None:
        self.adapters: list[Controlled] = []
        self.free = False
        self.failed_starts = 0  # constructions included

    def adapter(self, config: AdapterConfig) -> Controlled:
        """A new one. That of model ``a`` starts and stops by itself at once; that of ``c`` cannot be constructed."""
        if config.model_id == "c":
            self.failed_starts += 1
            raise OSError("no such model")
        adapter = Controlled(config, self)
        self.adapters.append(adapter)
        return adapter

    def those(self, phase: Phase) -> list[Controlled]:
        """The adapters in ``phase``."""
        return [adapter for adapter in self.adapters if adapter.phase == phase]

    def answering(self) -> list[Controlled]:
        """Those from which some agent awaits the next piece of an answer."""
        return [adapter for adapter in self.adapters if adapter.listeners]

    def set_free(self) -> None:
        """Let everything end well that is under way, and whatever will be."""
        self.free = True
        for adapter in self.adapters:
            adapter.end_phase()
            while adapter.listeners:
                adapter.give("end")


class Controlled:
    """One adapter. It says itself in which phase it is, and counts its shutdowns and the calls that a shutdown met."""

    def __init__(self, config: AdapterConfig, controls: Controls) -> None:
        self.config = config
        self.phase: Phase = "constructed"
        self.shutdowns = 0
        self.shut_down_while_called = 0
        self.open_calls = 0
        self.broken = False
        self.listeners: list[trio.MemorySendChannel[Piece]] = []
        self._controls = controls
        self._ended = trio.Event()
        self._fails = False

    async def start(self) -> None:
        await self._pass_through("starting", "up", "start failed", "start failed")

    async def shutdown(self) -> None:
        self.shutdowns += 1
        self.shut_down_while_called += self.open_calls
        await self._pass_through("stopping", "down", "stop failed", "given up")

    async def _pass_through(self, phase: Phase, well: Phase, badly: Phase, cancelled: Phase) -> None:
        self.phase, self._ended, self._fails = phase, trio.Event(), False
        try:
            if not (self._controls.free or self.config.model_id == "a"):
                await self._ended.wait()
            self.phase = badly if self._fails else well
        except trio.Cancelled:
            self.phase = cancelled
            raise
        finally:
            self._controls.failed_starts += self.phase == "start failed"
        if self._fails:
            raise OSError(f"{phase}: told to fail")

    def end_phase(self, *, fails: bool = False) -> None:
        """Let the start or the shutdown that is under way end."""
        self._fails = fails
        self._ended.set()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        self.open_calls += 1
        try:
            piece: Piece = "token"
            while piece == "token":
                piece = await self._next_piece()
                if piece == "truncate":
                    return
                yield self._event(piece)
        finally:
            self.open_calls -= 1

    async def _next_piece(self) -> Piece:
        if self._controls.free:
            return "end"
        send, receive = trio.open_memory_channel[Piece](1)
        self.listeners.append(send)
        try:
            return await receive.receive()
        finally:
            if send in self.listeners:
                self.listeners.remove(send)

    def give(self, piece: Piece) -> None:
        """The next piece of the answer that has been awaited longest."""
        self.listeners.pop(0).send_nowait(piece)

    def _event(self, piece: Piece) -> StreamEvent:
        if piece == "raise":
            raise OSError("told to raise")
        if piece == "broken":
            self.broken = True
            return StreamEvent("error", ModelEvictedError("told to break"))
        if piece == "error":
            return StreamEvent("error", AdapterConnectError("told to fail"))
        return StreamEvent("token", "") if piece == "token" else StreamEvent("end")


class Agent:
    """A task that carries out one order after the other, and keeps its leases until it is told to end one, or is cancelled."""

    def __init__(self, manager: ProviderManager) -> None:
        self.manager = manager
        self.leases: list[Lease] = []
        self.waits = False  # for a lease
        self.served = False  # got what it asked for last
        self.busy = False
        self.slot: str | None = None  # the local provider it asked last
        self.priority = 0
        self.failed_starts = 0  # that it was told of
        self._orders, self._told = trio.open_memory_channel[Callable[[], Awaitable[None]]](math.inf)

    async def live(self) -> None:
        """Carry out orders until cancelled."""
        try:
            async for order in self._told:
                self.busy = True
                try:
                    await order()
                except AdapterInstantiationError:
                    self.failed_starts += 1
                except EXPECTED:
                    pass
                finally:
                    self.busy = self.waits = False
        finally:
            for lease in self.leases:
                lease.release()
            self.leases.clear()

    def acquire(self, config: RuntimeProviderConfig, timeout: float | None, priority: int) -> None:
        """Order: ask for a lease and keep it."""

        async def order() -> None:
            self._asks(config, priority)
            self.leases.append(await self.manager.get_adapter(config, timeout, priority=priority))
            self.served = True

        self._orders.send_nowait(order)

    def stream(self, config: RuntimeProviderConfig, most: int | None) -> None:
        """Order: take an answer, or its first few events."""

        async def order() -> None:
            self._asks(config, 0)
            options = CallOptions(provider_config=config)
            async with ReasoningEngine(self.manager).call([{"role": "user", "content": "?"}], options) as stream:
                self.waits, self.served = False, True
                self.leases.append(stream.lease)
                try:
                    await _take(stream, most)
                finally:
                    self.leases.remove(stream.lease)

        self._orders.send_nowait(order)

    def _asks(self, config: RuntimeProviderConfig, priority: int) -> None:
        self.waits, self.served, self.priority = True, False, priority
        self.slot = None if config.provider_name == "api" else config.provider_name

    @property
    def held(self) -> list[Lease]:
        """The leases that are not over."""
        return [lease for lease in self.leases if not lease.released]


async def _take(stream: AsyncIterator[StreamEvent], most: int | None) -> None:
    taken = 0
    while most is None or taken < most:
        try:
            await anext(stream)
        except StopAsyncIteration:
            return
        taken += 1


EXPECTED = (ContentionError, AdapterError, ManagerClosedError, LeaseReleasedError, OSError)
