"""A test double: an adapter whose options say how long everything takes and what goes wrong.

It knows nothing of the manager, and nothing of the adapters that users are given.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

import trio

from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.errors import AdapterConnectError, ModelEvictedError, ModelLoadError

__all__ = ["Scripted"]

Fault = Literal["event", "raise", "truncate", "break"]


class Scripted:
    """Does as its options say. Raises OSError from its constructor if ``fail_construction`` is true.

    ``load_seconds``, ``unload_seconds``, ``fail_start``, ``fail_shutdown``: the start and the shutdown, and whether they fail in the end.
    ``succeed_late``: an interrupted start succeeds all the same.
    ``first_token_seconds``, ``token_seconds``: a stream, which echoes the last message. ``fail_after``: the number of tokens before an
    error, and ``fault`` says which: an error ``event``, ``raise``, ``truncate`` (the stream just stops), or ``break`` (an error that says
    that the instance is broken). ``cleanup_seconds``: how long a call takes to end, and ``cleanup_shielded``: whether a cancellation
    leaves that alone. Where no time is to pass there is a checkpoint all the same.
    """

    def __init__(self, config: AdapterConfig) -> None:
        self._options: dict[str, Any] = dict(config.options)
        self._is_stopping = False
        if self._options.get("fail_construction"):
            raise OSError("told to fail its construction")

    async def start(self) -> None:
        """Take ``load_seconds``. Raises ModelLoadError if told to."""
        try:
            await trio.sleep(self._options.get("load_seconds", 0))
        except trio.Cancelled:
            if not self._options.get("succeed_late"):
                raise
        if self._options.get("fail_start"):
            raise ModelLoadError("told to fail its start")

    async def shutdown(self) -> None:
        """Take ``unload_seconds``. Raises AdapterConnectError if told to."""
        self._is_stopping = True
        await trio.sleep(self._options.get("unload_seconds", 0))
        if self._options.get("fail_shutdown"):
            raise AdapterConnectError("told to fail its shutdown")

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Stream the last message word by word, then ``end`` or the fault."""
        try:
            await trio.sleep(self._options.get("first_token_seconds", 0))
            for number, word in enumerate(str(prompt[-1]["content"]).split()):
                if number == self._options.get("fail_after"):
                    break
                await trio.sleep(self._options.get("token_seconds", 0))
                if self._is_stopping:
                    yield StreamEvent("error", ModelEvictedError("shut down in the middle of a call"))
                    return
                yield StreamEvent("token", word)
            if "fail_after" not in self._options:
                yield StreamEvent("end", "stop")
            elif (event := self._fault()) is not None:
                yield event
            await trio.lowlevel.checkpoint()  # as an HTTP response does when it has been read to its end
        finally:
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
            return StreamEvent("error", ModelEvictedError("told to break"))
        return StreamEvent("error", error)
