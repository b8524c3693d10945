"""Broken adapters: mistakes in construction, start, shutdown, ownership, and under cancellation."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

import trio

from statemachine import (
    AdapterConfig,
    AdapterConnectError,
    AdapterError,
    CallOptions,
    Message,
    ModelLoadError,
    StreamEvent,
)

from .good import GoodAdapter
from .registry import breaks
from .server import Connection, LostError, RefusedError, Server


@breaks("construct-no-effect", "a heartbeat is started by the constructor")
class BeatsAtConstruction(GoodAdapter):
    def __init__(self, config: AdapterConfig, server: Server) -> None:
        super().__init__(config, server)
        self.heart = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self.beat)

    async def beat(self) -> None:
        with self.heart:
            await trio.sleep_forever()

    async def shutdown(self) -> None:
        self.heart.cancel()
        await super().shutdown()


@breaks("construct-no-effect", "the constructor asks the server for its version")
class AsksAtConstruction(GoodAdapter):
    def __init__(self, config: AdapterConfig, server: Server) -> None:
        super().__init__(config, server)
        server.requests += 1


@breaks("start-succeeds", "a model that the user has loaded already is taken for a conflict")
class RefusesForeign(GoodAdapter):
    async def start(self) -> None:
        if self.instance is None and any(name.startswith("foreign") for name in await self.server.instances()):
            raise ModelLoadError("it is loaded already")
        await super().start()


@breaks("start-idempotent", "every start loads once more")
class LoadsAgain(GoodAdapter):
    async def start(self) -> None:
        self.loaded = [*getattr(self, "loaded", []), await self.load()]
        self.instance = self.owned

    async def to_unload(self) -> str | None:
        found = await self.newcomers()
        return next((name for name in found if not name.startswith("foreign")), None)


@breaks("start-before-call", "a call before start trips over what start sets")
class AssumesStart(GoodAdapter):
    def not_ready(self) -> AdapterError:
        if not self.down:
            raise AttributeError("'NoneType' object has no attribute 'id'")
        return super().not_ready()


@breaks("failed-start-is-error", "a load that fails is logged, and start goes on")
class IgnoresFailedLoad(GoodAdapter):
    async def load(self) -> str:
        try:
            return await super().load()
        except ModelLoadError:
            return f"{self.config.model_id}:1"


@breaks("shutdown-idempotent", "the second shutdown unloads what is gone")
class UnloadsTwice(GoodAdapter):
    async def shutdown(self) -> None:
        if self.down:
            raise AdapterError("not loaded")
        await super().shutdown()


@breaks("shutdown-after-anything", "shutdown relies on what a successful start has set")
class AssumesStarted(GoodAdapter):
    async def shutdown(self) -> None:
        if self.instance is None and not self.down:
            self.down = True
            raise AttributeError("'NoneType' object has no attribute 'close'")
        await super().shutdown()


@breaks("shutdown-bounded", "unloading has no time-out")
class WaitsForUnload(GoodAdapter):
    async def shutdown(self) -> None:
        self.down, self.instance = True, None
        await self.unload()


@breaks("shutdown-leaves-nothing", "a keep-alive task outlives the adapter")
class LeavesTask(GoodAdapter):
    async def start(self) -> None:
        await super().start()
        self.heart = trio.CancelScope()

    async def shutdown(self) -> None:
        if not self.down and hasattr(self, "heart"):
            trio.lowlevel.spawn_system_task(self.beat)
        await super().shutdown()

    async def beat(self) -> None:
        with self.heart:
            await trio.sleep(3600)


@breaks("unload-unloads", "shutdown closes the client and forgets the model")
class ForgetsToUnload(GoodAdapter):
    async def unload(self) -> None:
        if self.loading:
            await super().unload()
        elif self.down and self.owned is not None:
            await trio.lowlevel.checkpoint()


@breaks("unload-unloads", "an unload whose answer is lost counts as done")
class UnloadsOnce(GoodAdapter):
    lost_answer = False

    async def to_unload(self) -> str | None:
        return None if self.lost_answer else await super().to_unload()

    async def unload(self) -> None:
        while (name := await self.to_unload()) is not None:
            try:
                await self.server.unload(name)
            except RefusedError:
                await trio.sleep(0.1)
            except LostError:
                self.lost_answer = True


@breaks("unload-unloads", "a load whose answer is lost is sent again, without a look at the list")
class LoadsBlindlyAgain(GoodAdapter):
    async def load(self) -> str:
        try:
            return await super().load()
        except AdapterConnectError:
            return await super().load()


@breaks("foreign-stays", "shutdown unloads whatever answers to the model's name")
class UnloadsForeign(GoodAdapter):
    async def start(self) -> None:
        await super().start()
        self.owned = self.instance


@breaks("call-after-shutdown", "a call after shutdown goes to the server all the same")
class AnswersAfterShutdown(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        if self.down:
            yield StreamEvent("token", "still here")
            yield StreamEvent("end", "stop")
            return
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                yield event


@breaks("call-after-shutdown", "a call after shutdown waits for a start that will never come")
class WaitsAfterShutdown(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        if self.down:
            await trio.sleep_forever()
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                yield event


@breaks("cancel-not-swallowed", "except BaseException around the request")
class SwallowsCancellation(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        try:
            async with aclosing(super().call(prompt, options)) as events:
                async for event in events:
                    yield event
        except trio.Cancelled:
            yield StreamEvent("error", AdapterError("interrupted"))


@breaks("cancel-not-swallowed", "a start that is cancelled says that it is done")
class SwallowsInStart(GoodAdapter):
    async def start(self) -> None:
        try:
            await super().start()
        except trio.Cancelled:
            return


@breaks("cancel-leaks-nothing", "the connection is closed after a checkpoint, which a cancellation never passes")
class ClosesLate(GoodAdapter):
    def close(self, connection: Connection) -> None:
        if sys.exc_info()[0] is not trio.Cancelled:
            super().close(connection)


@breaks("cancel-leaks-nothing", "a load that was cancelled is not looked for")
class ForgetsCancelledLoad(GoodAdapter):
    async def load(self) -> str:
        try:
            return await super().load()
        except trio.Cancelled:
            self.loading = False
            raise


@breaks("no-blocking", "time.sleep before trying again")
class Blocks(GoodAdapter):
    def refused(self, error: RefusedError) -> AdapterError:
        if error.kind == "busy":
            time.sleep(0.27)
        return super().refused(error)


@breaks("no-leftovers", "the stream inside is not closed with the one outside")
class DropsInnerStream(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async for event in self.inner(prompt, options):
            yield event

    async def inner(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        yield StreamEvent("metadata", {})
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                yield event


@breaks("manager-properties", "all instances share one client, which the first shutdown closes")
class SharesClient(GoodAdapter):
    async def start(self) -> None:
        await super().start()
        self.server.shared.setdefault("client", "open")

    async def shutdown(self) -> None:
        if self.instance is not None:
            self.server.shared["client"] = "closed"
        await super().shutdown()

    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        if self.server.shared["client"] == "closed":
            raise AdapterError("the client is closed")
        return await super().ask(prompt, tools)


@breaks("call-after-shutdown", "the client that shutdown has closed is used, and says so in its own way")
class UsesClosedClient(GoodAdapter):
    def not_ready(self) -> AdapterError:
        if self.down:
            raise RuntimeError("Cannot send a request, as the client has been closed.")
        return super().not_ready()


@breaks("foreign-stays", "shutdown unloads everything that the server has")
class UnloadsEverything(GoodAdapter):
    async def unload(self) -> None:
        await super().unload()
        for name in await self.server.instances():
            await self.server.unload(name)


@breaks("timeouts-kept", "a load has no time-out")
class WaitsForLoad(GoodAdapter):
    async def load(self) -> str:
        self.loading = True
        try:
            self.owned = await self.server.load(self.config.model_id)
        except RefusedError as error:
            raise ModelLoadError(str(error)) from error
        except LostError as error:
            raise self.lost(error) from None
        self.loading = False
        return self.owned


@breaks("start-idempotent", "a start throws out what is loaded, to begin afresh")
class BeginsAfresh(GoodAdapter):
    async def start(self) -> None:
        if self.instance is not None and self.owned is not None:
            with suppress(RefusedError, LostError):
                await self.server.unload(self.owned)
            self.instance = await self.load()
        else:
            await super().start()
