"""The adapter that every broken one of the zoo differs from by one small mistake, and its subject."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar

import trio

from adapters.conformance import Capabilities, Heard, Subject
from statemachine import (
    AdapterBusyError,
    AdapterConfig,
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    AuthenticationError,
    CallOptions,
    Message,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
    StreamEvent,
    ToolCall,
    TruncatedStreamError,
)

from .server import TOKEN, Connection, LostError, RefusedError, Server, pieces_of, planters

SILENCE_SECONDS = 10.0
UNLOAD_SECONDS = 8.0


class GoodAdapter:
    """Loads, answers, unloads. Every method is small, so that a mistake is a change of one of them."""

    def __init__(self, config: AdapterConfig, server: Server) -> None:
        self.config = config
        self.server = server
        self.instance: str | None = None
        self.owned: str | None = None
        self.loading = False
        self.down = False

    # ---- life ----

    async def start(self) -> None:
        if self.instance is not None:
            return
        found = [name for name, model in (await self.server.instances()).items() if model == self.config.model_id]
        self.instance = found[0] if found else await self.load()

    async def load(self) -> str:
        self.loading = True
        try:
            with trio.fail_after(SILENCE_SECONDS):
                self.owned = await self.server.load(self.config.model_id)
        except (RefusedError, trio.TooSlowError) as error:
            raise ModelLoadError(f"{self.config.model_id}: {type(error).__name__}") from error
        except LostError as error:
            raise self.lost(error) from None
        self.loading = False
        return self.owned

    async def shutdown(self) -> None:
        self.down, self.instance = True, None
        with trio.move_on_after(UNLOAD_SECONDS):
            await self.unload()
            return
        raise AdapterTimeoutError(f"{self.config.model_id}: not seen unloaded")

    async def unload(self) -> None:
        while (name := await self.to_unload()) is not None:
            try:
                await self.server.unload(name)
            except (RefusedError, LostError):
                await trio.sleep(0.1)
            self.forget(name)

    async def to_unload(self) -> str | None:
        """What is ours and is loaded: a load that was cut short may have been carried out."""
        if self.owned is None and not self.loading:
            return None
        mine = [self.owned] if self.owned is not None else await self.newcomers()
        loaded = await self.server.instances()
        return next((name for name in mine if name in loaded), None)

    async def newcomers(self) -> list[str]:
        return [name for name, model in (await self.server.instances()).items() if model == self.config.model_id]

    def forget(self, name: str) -> None:
        """A second shutdown looks again: the list tells."""

    # ---- calls ----

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        if self.instance is None:
            yield StreamEvent("error", self.not_ready())
            return
        connection: Connection | None = None
        try:
            connection = await self.ask(prompt, bool(options.tools))
            async with aclosing(self.events(connection)) as events:
                async for event in events:
                    yield event
                    if event.type in ("end", "error"):
                        self.close(connection)
        except AdapterError as error:
            yield StreamEvent("error", error)
        finally:
            if connection is not None:
                self.close(connection)

    def not_ready(self) -> AdapterError:
        return AdapterRequestError("shut down" if self.down else "not started")

    def close(self, connection: Connection) -> None:
        connection.close()

    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        try:
            with trio.fail_after(SILENCE_SECONDS):
                token = self.config.options.get("api_token")
                return await self.server.ask(self.instance or "", prompt, token=token, tools=tools)
        except LostError as error:
            raise self.lost(error) from None
        except RefusedError as error:
            raise self.refused(error) from None

    def lost(self, error: LostError) -> AdapterError:
        return AdapterConnectError(str(error))

    def refused(self, error: RefusedError) -> AdapterError:
        kinds: Mapping[str, type[AdapterError]] = {
            "busy": AdapterBusyError,
            "auth": AuthenticationError,
            "not_found": ModelNotFoundError,
            "invalid": AdapterRequestError,
        }
        text = "the credentials are refused" if error.kind == "auth" else str(error)
        return kinds.get(error.kind, AdapterError)(text, status=error.status)

    async def receive(self, connection: Connection) -> str | None:
        try:
            with trio.fail_after(SILENCE_SECONDS):
                return await connection.receive()
        except LostError as error:
            raise self.lost(error) from None
        except trio.TooSlowError:
            raise AdapterTimeoutError("the server is silent") from None

    async def events(self, connection: Connection) -> AsyncGenerator[StreamEvent, None]:
        while (frame := await self.receive(connection)) is not None:
            for event in self.decode(frame):
                yield event
                if event.type in ("end", "error"):
                    return
        raise TruncatedStreamError("the stream stopped")

    def decode(self, frame: str) -> list[StreamEvent]:
        if not frame or frame.startswith(":"):
            return []
        payload = json.loads(frame)
        if "error" in payload:
            return [StreamEvent("error", self.reported(payload["error"]))]
        if payload.get("piece"):
            return [StreamEvent("token", payload["piece"])]
        if "call" in payload:
            return [self.tool_call(payload["call"])]
        if "note" in payload:
            return [StreamEvent("metadata", payload["note"])]
        return [StreamEvent("end", payload["done"])] if "done" in payload else []

    def reported(self, error: Mapping[str, Any]) -> AdapterError:
        kind = ModelEvictedError if error["kind"] == "unloaded" else AdapterProtocolError
        return kind(error["message"])

    def tool_call(self, call: Mapping[str, Any]) -> StreamEvent:
        return StreamEvent("tool_call", ToolCall(call["index"], call.get("id"), call.get("name"), call["text"]))


class ZooSubject(Subject):
    """An adapter of the zoo on a server of its own."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        local=True,
        loads_models=True,
        needs_start=True,
        parallel=4,
        tool_calls=True,
        repeatable=True,
        deterministic_clock=True,
        silence_seconds=SILENCE_SECONDS,
        shutdown_seconds=UNLOAD_SECONDS + 1,
        buffer_pieces=4,
        secret_options=("api_token",),
    )
    models: ClassVar[Sequence[str]] = ("model", "other")
    options: ClassVar[Mapping[str, Any]] = {"api_token": TOKEN}
    kind: ClassVar[type[GoodAdapter]] = GoodAdapter

    def __init__(self) -> None:
        self.server = Server()

    def adapter(self, config: AdapterConfig) -> GoodAdapter:
        return self.kind(config, self.server)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        yield

    async def probe_resident(self) -> Collection[str]:
        return self.server.loaded

    def connections(self) -> int:
        return len(self.server.open)

    def requests(self) -> int:
        return self.server.requests

    def pieces_sent(self) -> int:
        return self.server.pieces

    def expected_text(self, prompt: Sequence[Message]) -> str:
        return "".join(pieces_of(str(prompt[-1]["content"])))

    def heard(self, prompt: Sequence[Message]) -> Heard | None:
        return self.server.heard.get(str(prompt[-1]["content"]))

    def server_faults(self) -> Mapping[str, Any]:
        return planters(self.server)
