"""Broken adapters: mistakes in calls, streams, errors and time-outs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

import trio

from statemachine import (
    AdapterBusyError,
    AdapterConfig,
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    CallOptions,
    Message,
    ModelEvictedError,
    StreamEvent,
    ToolCall,
)

from .good import SILENCE_SECONDS, GoodAdapter
from .registry import breaks
from .server import Connection, LostError, RefusedError, Server


@breaks("early-close-frees", "the connection is freed by the closing event only")
class LeaksOnEarlyClose(GoodAdapter):
    def close(self, connection: Connection) -> None:
        if sys.exc_info()[0] is not GeneratorExit:
            super().close(connection)


@breaks("early-close-frees", "the rest of an answer is read before its connection is given back")
class DrainsOnEarlyClose(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            try:
                async for event in events:
                    yield event
            except GeneratorExit:
                async for _ in events:
                    pass
                raise


@breaks("early-close-frees", "closing a stream raises")
class RaisesOnClose(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                try:
                    yield event
                except GeneratorExit:
                    raise RuntimeError("closed in mid-answer") from None


@breaks("end-frees", "an answer that was read to its end is never closed")
class LeaksAtEnd(GoodAdapter):
    ended = False

    def decode(self, frame: str) -> list[StreamEvent]:
        found = super().decode(frame)
        self.ended = any(event.type == "end" for event in found)
        return found

    def close(self, connection: Connection) -> None:
        if not self.ended:
            connection.close()

    async def shutdown(self) -> None:
        for connection in tuple(self.server.open):
            connection.close()
        await super().shutdown()


@breaks("stream-order", "the finish reason and [DONE] both make an end")
class EndsTwice(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                yield event
                if event.type == "end":
                    yield event


@breaks("stream-order", "the usage comes after the end")
class UsageAfterEnd(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                yield event
        if event.type == "end":
            yield StreamEvent("metadata", {"usage": {}})


@breaks("stream-order", "the end is left out: the stream just stops")
class NeverEnds(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                if event.type != "end":
                    yield event


@breaks("event-types", "an error event carries text")
class ErrorIsText(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                texts = event.type == "error" and isinstance(event.data, AdapterProtocolError)
                yield StreamEvent("error", str(event.data)) if texts else event


@breaks("event-types", "a tool call's arguments are passed on as the object that the server sent")
class ArgumentsAreObjects(GoodAdapter):
    def tool_call(self, call: Mapping[str, Any]) -> StreamEvent:
        whole = cast(str, {"city": "Rome"} if "id" in call else {})
        return StreamEvent("tool_call", ToolCall(call["index"], call.get("id"), call.get("name"), whole))


@breaks("event-types", "an event type of its own")
class InventsEvents(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        return [StreamEvent("usage", e.data) if e.type == "metadata" else e for e in super().decode(frame)]  # type: ignore[arg-type]


@breaks("tool-calls-whole", "every piece of a tool call begins a call of its own")
class SplitsToolCalls(GoodAdapter):
    pieces = 0

    def tool_call(self, call: Mapping[str, Any]) -> StreamEvent:
        self.pieces += 1
        return StreamEvent("tool_call", ToolCall(self.pieces, call.get("id"), call.get("name"), call["text"]))


@breaks("tool-calls-whole", "a tool call is taken for an empty answer")
class LosesToolCalls(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        return [event for event in super().decode(frame) if event.type != "tool_call"]


@breaks("answer-complete", "pieces of white space are dropped")
class DropsBlanks(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        return [e for e in super().decode(frame) if e.type != "token" or str(e.data).strip()]


@breaks("whole-stream-is-no-error", "a keep-alive comment is not understood")
class HatesComments(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        if frame.startswith(":"):
            return [StreamEvent("error", AdapterProtocolError("not JSON"))]
        return super().decode(frame)


@breaks("broken-stream-is-error", "the end of the body is the end of the answer")
class TakesTruncatedForWhole(GoodAdapter):
    async def events(self, connection: Connection) -> AsyncGenerator[StreamEvent, None]:
        while (frame := await self.receive(connection)) is not None:
            for event in self.decode(frame):
                yield event
                if event.type in ("end", "error"):
                    return
        yield StreamEvent("end", None)


@breaks("error-body-is-error", "a busy server is asked again, without end")
class AsksWithoutEnd(GoodAdapter):
    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        while True:
            try:
                return await super().ask(prompt, tools)
            except AdapterBusyError:
                await trio.sleep(1)


@breaks("error-body-is-error", "an error with status 200 is an empty answer")
class TakesErrorBodyForAnswer(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        found = super().decode(frame)
        error = found[0].data if found and found[0].type == "error" else None
        return [StreamEvent("end", "stop")] if "endpoint" in str(error) else found


@breaks("errors-typed", "the library's own error leaves the stream")
class RaisesRaw(GoodAdapter):
    async def receive(self, connection: Connection) -> str | None:
        try:
            with trio.fail_after(10):
                return await connection.receive()
        except trio.TooSlowError as error:
            raise self.lost(LostError("silent")) from error


@breaks("errors-say-retry", "a busy server is not worth another try")
class BusyIsFinal(GoodAdapter):
    def refused(self, error: RefusedError) -> AdapterError:
        return AdapterRequestError(str(error)) if error.kind == "busy" else super().refused(error)


@breaks("errors-say-retry", "a refusal is worth another try, for ever")
class RefusalIsRetryable(GoodAdapter):
    def refused(self, error: RefusedError) -> AdapterError:
        return AdapterError(str(error), retryable=True) if error.kind == "invalid" else super().refused(error)


class NamedError(AdapterError):
    """Its constructor takes what pickle does not keep."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


@breaks("errors-pickle", "an error of its own takes two arguments, and pickle gives it one")
class UnpicklableErrors(GoodAdapter):
    def refused(self, error: RefusedError) -> AdapterError:
        return NamedError(str(error)) if error.kind == "invalid" else super().refused(error)


@breaks("cause-not-invented", "not found means evicted, without a look at the list")
class InventsEvictions(GoodAdapter):
    def refused(self, error: RefusedError) -> AdapterError:
        if error.kind == "not_found":
            return ModelEvictedError(str(error), retryable=False, broken=False)
        return super().refused(error)


@breaks("eviction-is-broken", "the instance is said to be usable after its model was taken away")
class KeepsEvicted(GoodAdapter):
    def reported(self, error: Mapping[str, Any]) -> AdapterError:
        return AdapterProtocolError(error["message"])


@breaks("no-repeat", "a lost connection is repeated, also when a piece was given")
class RepeatsAfterFirst(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                if event.type == "error" and "broke" in str(event.data):
                    async with aclosing(super().call(prompt, options)) as more:
                        async for again in more:
                            yield again
                    return
                yield event


@breaks("timeouts-kept", "the time-out is on connecting only")
class WaitsForEver(GoodAdapter):
    async def receive(self, connection: Connection) -> str | None:
        try:
            return await connection.receive()
        except LostError as error:
            raise self.lost(error) from None


@breaks("calls-do-not-mix", "the text so far is kept on the adapter")
class SharesBuffer(GoodAdapter):
    async def events(self, connection: Connection) -> AsyncGenerator[StreamEvent, None]:
        self.buffer: list[StreamEvent] = []
        while (frame := await self.receive(connection)) is not None:
            self.buffer += self.decode(frame)
            while self.buffer:
                event = self.buffer.pop(0)
                if event.type == "token":
                    await trio.sleep(0.01)
                    self.last = event
                    await trio.sleep(0.01)
                    event = self.last
                yield event
                if event.type in ("end", "error"):
                    return
        async with aclosing(super().events(connection)) as events:
            async for event in events:
                yield event


@breaks("parallel-as-declared", "a connection pool smaller than the declared parallelism")
class HiddenLimit(GoodAdapter):
    def __init__(self, config: AdapterConfig, server: Server) -> None:
        super().__init__(config, server)
        self.pool = trio.Semaphore(3)

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with self.pool:
            async with aclosing(super().call(prompt, options)) as events:
                async for event in events:
                    yield event


@breaks("back-pressure", "the whole answer is collected before the first piece is given")
class CollectsFirst(GoodAdapter):
    async def events(self, connection: Connection) -> AsyncGenerator[StreamEvent, None]:
        frames: list[str] = []
        try:
            while (frame := await self.receive(connection)) is not None:
                frames.append(frame)
        except AdapterError as error:
            failure: AdapterError | None = error
        else:
            failure = None
        for frame in frames:
            for event in self.decode(frame):
                yield event
                if event.type in ("end", "error"):
                    return
        if failure is not None:
            raise failure
        async with aclosing(super().events(connection)) as events:
            async for event in events:
                yield event


@breaks("arguments-unchanged", "the system prompt is put into the caller's list")
class ChangesPrompt(GoodAdapter):
    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        cast(list[Message], prompt).insert(0, {"role": "system", "content": "be brief"})
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                yield event


@breaks("secrets-hidden", "the server's message about the token is shown as it is")
class ShowsToken(GoodAdapter):
    def refused(self, error: RefusedError) -> AdapterError:
        return AdapterRequestError(str(error)) if error.kind == "auth" else super().refused(error)


@breaks("secrets-hidden", "the options are in the repr")
class ShowsOptions(GoodAdapter):
    def __repr__(self) -> str:
        return f"Adapter({dict(self.config.options)})"


@breaks("secrets-hidden", "the headers of every request are logged")
class LogsToken(GoodAdapter):
    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        logging.getLogger("wire").debug("headers: %s", {"authorization": self.config.options.get("api_token")})
        return await super().ask(prompt, tools)


@breaks("answer-complete", "the text of a whole answer is added up on the adapter, and never emptied")
class KeepsPreviousText(GoodAdapter):
    so_far = ""

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(super().call(prompt, options)) as events:
            async for event in events:
                if event.type == "token" and not options.stream:
                    self.so_far += str(event.data)
                    continue
                if event.type == "end" and self.so_far:
                    yield StreamEvent("token", self.so_far)
                yield event


@breaks("answer-complete", "an empty piece is taken for the end")
class EndsAtEmptyPiece(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        empty = frame and not frame.startswith(":") and json.loads(frame).get("piece") == ""
        return [StreamEvent("end", "stop")] if empty else super().decode(frame)


@breaks("answer-complete", "each chunk of bytes is decoded by itself")
class DecodesPerChunk(GoodAdapter):
    async def receive(self, connection: Connection) -> str | None:
        frame = await super().receive(connection)
        if frame is None:
            return None
        body = frame.encode()
        return "".join(body[place : place + 7].decode(errors="replace") for place in range(0, len(body), 7))


@breaks("whole-stream-is-no-error", "the last line is read with the line end behind it, which never comes")
class LosesLastLine(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        return [event for event in super().decode(frame) if event.type != "end"]


@breaks("whole-stream-is-no-error", "the time between two pieces is measured from the beginning of the call")
class TimesFromTheBeginning(GoodAdapter):
    async def events(self, connection: Connection) -> AsyncGenerator[StreamEvent, None]:
        began = trio.current_time()
        async with aclosing(super().events(connection)) as events:
            async for event in events:
                if trio.current_time() > began + SILENCE_SECONDS:
                    raise AdapterTimeoutError("the server is silent")
                yield event


@breaks("event-types", "a piece without text is a token without text")
class TokensMayBeNone(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        if frame and not frame.startswith(":") and json.loads(frame).get("piece") == "":
            return [StreamEvent("token", cast(str, None))]
        return super().decode(frame)


@breaks("tool-calls-whole", "every tool call has index 0")
class MeltsToolCalls(GoodAdapter):
    def tool_call(self, call: Mapping[str, Any]) -> StreamEvent:
        return super().tool_call({**call, "index": 0})


@breaks("error-body-is-error", "an error inside of the stream is shown to the reader as text")
class ErrorIsAnswer(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        found = super().decode(frame)
        if found and found[0].type == "error" and "out of luck" in str(found[0].data):
            return [StreamEvent("token", str(found[0].data)), StreamEvent("end", "stop")]
        return found


@breaks("end-frees", "the response of a call that fails is not closed")
class LeaksOnError(GoodAdapter):
    def decode(self, frame: str) -> list[StreamEvent]:
        found = super().decode(frame)
        self.failed = bool(found) and found[0].type == "error"
        return found

    def close(self, connection: Connection) -> None:
        if not getattr(self, "failed", False):
            super().close(connection)

    async def shutdown(self) -> None:
        for connection in tuple(self.server.open):
            connection.close()
        await super().shutdown()


@breaks("cause-not-invented", "a lost connection is taken for an eviction")
class TakesLostForEvicted(GoodAdapter):
    def lost(self, error: LostError) -> AdapterError:
        if "broke" in str(error):
            return ModelEvictedError("the model is gone")
        return super().lost(error)


@breaks("cause-not-invented", "a silent server is said to be busy")
class TakesSilentForBusy(GoodAdapter):
    async def receive(self, connection: Connection) -> str | None:
        try:
            return await super().receive(connection)
        except AdapterTimeoutError as error:
            raise AdapterBusyError(str(error)) from None


@breaks("cancel-is-prompt", "a read is shielded, so that no piece is lost")
class ShieldsReads(GoodAdapter):
    async def receive(self, connection: Connection) -> str | None:
        with trio.CancelScope(shield=True):
            return await super().receive(connection)
        raise AssertionError("nothing cancels it")


@breaks("cancel-not-swallowed", "whatever goes wrong with a request, it is made again")
class RepeatsWhenCancelled(GoodAdapter):
    again = 0

    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        connection: Connection | None = None
        while connection is None:
            try:
                connection = await super().ask(prompt, tools)
            except AdapterError:
                raise
            except BaseException:
                self.again += 1
        return connection


@breaks("no-busy-wait", "a busy server is asked again step after step")
class SpinsWhileBusy(GoodAdapter):
    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        try:
            return await super().ask(prompt, tools)
        except AdapterBusyError:
            again = trio.current_time() + 1
            while trio.current_time() < again:
                await trio.lowlevel.checkpoint()
            return await super().ask(prompt, tools)
