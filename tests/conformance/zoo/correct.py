"""Adapters that keep every rule, each in a way of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar

import trio

from adapters.conformance import Capabilities, Subject
from adapters.on_asyncio import OnAsyncio
from statemachine import (
    Adapter,
    AdapterBusyError,
    AdapterConfig,
    AdapterError,
    AdapterRequestError,
    AdapterTimeoutError,
    CallOptions,
    Message,
    StreamEvent,
)

from .good import SILENCE_SECONDS, GoodAdapter, ZooSubject
from .server import Connection, LostError, pieces_of


class OddAdapter(GoodAdapter):
    """Slow, chunky and odd: a letter a piece, reasoning before it, metadata anywhere, and a rest before everything."""

    async def start(self) -> None:
        await trio.sleep(30)
        await super().start()

    async def shutdown(self) -> None:
        await trio.sleep(0.5)
        await super().shutdown()

    async def events(self, connection: Connection) -> AsyncGenerator[StreamEvent, None]:
        yield StreamEvent("metadata", {})
        yield StreamEvent("reasoning", "hm")
        async with aclosing(super().events(connection)) as events:
            async for event in events:
                letters = str(event.data) if event.type == "token" else ""
                for letter in letters:
                    await trio.sleep(0.01)
                    yield StreamEvent("token", letter)
                if not letters:
                    yield event


class OddSubject(ZooSubject):
    capabilities: ClassVar[Capabilities] = replace(ZooSubject.capabilities, parallel=2, silence_seconds=60)
    kind: ClassVar[type[GoodAdapter]] = OddAdapter


class PlainApi:
    """An API provider: no start, no shutdown, nothing to load."""

    def __init__(self, config: AdapterConfig) -> None:
        self.model = config.model_id

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        await trio.sleep(0.1)
        yield StreamEvent("token", str(prompt[-1]["content"]))
        yield StreamEvent("end", None)


class PlainApiSubject(Subject):
    capabilities: ClassVar[Capabilities] = Capabilities(parallel=3, repeatable=True, deterministic_clock=True)
    models: ClassVar[Sequence[str]] = ("one", "two")

    def adapter(self, config: AdapterConfig) -> Adapter:
        return PlainApi(config)


class PooledAdapter(GoodAdapter):
    """Keeps a task of its own from start to shutdown, and raises its errors instead of sending them."""

    heart: trio.CancelScope | None = None

    async def start(self) -> None:
        await super().start()
        if self.heart is None:
            self.heart = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self.beat)

    async def beat(self) -> None:
        assert self.heart is not None
        with self.heart:
            await trio.sleep_forever()

    async def shutdown(self) -> None:
        if self.heart is not None:
            self.heart.cancel()
        await super().shutdown()

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                if event.type == "error" and isinstance(event.data, Exception):
                    raise event.data
                yield event


class PooledSubject(ZooSubject):
    kind: ClassVar[type[GoodAdapter]] = PooledAdapter


class AsyncioAdapter:
    """Needs asyncio in everything that it does."""

    def __init__(self, config: AdapterConfig) -> None:
        self.loaded = False
        self.down = False

    async def start(self) -> None:
        await asyncio.sleep(0.01)
        self.loaded = not self.down

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        if not self.loaded:
            yield StreamEvent("error", AdapterRequestError("not loaded"))
            return
        async with asyncio.timeout(60):
            for piece in pieces_of(str(prompt[-1]["content"])):
                await asyncio.sleep(0.001)
                yield StreamEvent("token", piece)
        yield StreamEvent("end", "stop")

    async def shutdown(self) -> None:
        await asyncio.sleep(0.01)
        self.loaded, self.down = False, True


class AsyncioSubject(Subject):
    capabilities: ClassVar[Capabilities] = Capabilities(needs_start=True, parallel=3, repeatable=True, buffer_pieces=2)
    models: ClassVar[Sequence[str]] = ("one", "two")

    def adapter(self, config: AdapterConfig) -> Adapter:
        return OnAsyncio(AsyncioAdapter)(config)

    def expected_text(self, prompt: Sequence[Message]) -> str:
        return "".join(pieces_of(str(prompt[-1]["content"])))

    def server_faults(self) -> Mapping[str, Any]:
        return {}


class ShieldedAdapter(GoodAdapter):
    """Reads under a shield, so that no piece is lost, and looks up every half second: a cancellation is late by so much."""

    async def receive(self, connection: Connection) -> str | None:
        began = trio.current_time()
        while trio.current_time() < began + SILENCE_SECONDS:
            await trio.lowlevel.checkpoint_if_cancelled()
            with trio.move_on_after(0.5, shield=True):
                try:
                    return await connection.receive()
                except LostError as error:
                    raise self.lost(error) from None
        raise AdapterTimeoutError("the server is silent")


class ShieldedSubject(ZooSubject):
    kind: ClassVar[type[GoodAdapter]] = ShieldedAdapter


class LazyAdapter(GoodAdapter):
    """A call before start loads by itself; a busy server is asked three times."""

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        try:
            if self.instance is None and not self.down:
                await self.start()
        except AdapterError as error:
            yield StreamEvent("error", error)
            return
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                yield event

    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        for _ in range(2):
            try:
                return await super().ask(prompt, tools)
            except AdapterBusyError:
                await trio.sleep(1)
        return await super().ask(prompt, tools)


class LazySubject(ZooSubject):
    capabilities: ClassVar[Capabilities] = replace(ZooSubject.capabilities, needs_start=False)
    kind: ClassVar[type[GoodAdapter]] = LazyAdapter


CORRECT: tuple[type[Subject], ...] = (
    ZooSubject,
    OddSubject,
    PlainApiSubject,
    PooledSubject,
    AsyncioSubject,
    ShieldedSubject,
    LazySubject,
)
