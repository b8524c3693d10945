"""Calls that make a server load: what they have brought is known, so that it does not stay behind.

Many servers load by themselves what a call names. A call is sent when the list has just shown its instance; but that may be unloaded from
outside before the call comes there. Then the server loads it again, under the same id or under another one, perhaps with another
configuration. Such an instance is ours, as our call was its cause. It is known by the list:

- Ours was there before the call, and when its answer has come to its end it is another: then the call has loaded what is there now, as
  an instance that is unloaded in the middle of an answer breaks it. So the list is read after each call, too, where the server
  loads with a configuration of its own or under another id.
- Ours is gone, there is a new instance of the model with the configuration that ours had, and calls were sent since ours was last seen.
- A call was left before anything of its answer came, and ours is gone at that moment: the server may be loading still. That is waited
  for at the shutdown, as far as the list may be behind.

What appears while ours is there as it was, or while no call was sent, is another's.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Literal, TypeAlias

import trio

from statemachine.config.call import StreamEvent
from statemachine.config.forward import ForwardResponse
from statemachine.errors import AdapterError
from statemachine.text import fit_to_show

from .judging import left_unanswered
from .memory import Memory, pauses
from .server import Resident, by_id, different

__all__ = ["Ask", "CallInProgress", "CallsThatLoad", "LoadsOnCall", "OneCall"]

log = logging.getLogger("adapters.residency")

Ask: TypeAlias = Callable[[], Awaitable[bool]]
LoadsOnCall: TypeAlias = Literal["no", "alike", "otherwise"]
"""Whether a call loads what it names: no; under the same id and with the call's configuration; with the server's, or under another id."""

_COPIES_SECONDS: Final = 0.5
"""How long after the first instance others may come: calls that were left came together, and their loads take the same time."""


class CallInProgress:
    """One call under way. ``answered``: something of its answer came, or it is over; ``ended``: its answer is complete.

    ``looked_after``: whether its end is worth a look at the list.
    """

    def __init__(self) -> None:
        self.answered = False
        self.ended = False
        self.looked_after = True

    def tell(self, event: StreamEvent) -> None:
        """Note the next event of its answer."""
        if isinstance(event.data, AdapterError):
            self.fail(event.data)
        else:
            self.answered, self.ended = True, event.type == "end"

    def fail(self, error: AdapterError) -> None:
        """Note that it has failed so."""
        self.answered = self.answered or not left_unanswered(error)

    def response(self, response: ForwardResponse) -> ForwardResponse:
        """Return its answer as bytes, which is noted as it is read."""
        well = 200 <= response.status < 300
        self.answered = not well
        body = _Noted(self, response.body, well)
        return ForwardResponse(response.status, response.headers, body, response.begun)


class _Noted:
    """The pieces of a call's answer. No generator: one that is left early would be closed by the garbage collector."""

    def __init__(self, call: CallInProgress, body: AsyncIterator[bytes], well: bool) -> None:
        self._call = call
        self._body = body
        self._well = well

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._body)
        except StopAsyncIteration:
            self._call.answered, self._call.ended = True, self._well
            raise
        self._call.answered = True
        return piece


class OneCall:
    """One call, from before it is sent until it is over: ``async with`` yields it. Its end is followed by a look at the list where it may
    have made the server load, also when it is cancelled. ``is_there`` looks, and is told whether the answer is complete.

    No generator: it lies on the way of every first byte.
    """

    def __init__(self, calls: CallsThatLoad, is_there: Callable[[bool], Awaitable[bool]]) -> None:
        self._calls = calls
        self._is_there = is_there

    async def __aenter__(self) -> CallInProgress:
        self._call = self._calls.begin()
        return self._call

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        call = self._call
        if isinstance(error, AdapterError):
            call.fail(error)
        try:
            if self._calls.is_looked_after(call) and not await self._is_there(call.ended) and not call.answered:
                self._calls.left()
        finally:
            self._calls.end()


class CallsThatLoad:
    """Keeps account of what calls may have loaded. ``brought``: what they have, by id, as it was when it was found.

    ``loads_now``: asks the server whether a call loads at all, where that is a setting.
    """

    def __init__(self, memory: Memory, loads: LoadsOnCall, loads_now: Ask | None) -> None:
        self.brought: Final[dict[str, Resident]] = {}
        self._memory: Final = memory
        self._loads: Final = loads
        self._loads_now: Final = loads_now
        self._others: frozenset[str] = frozenset()  # instances of the model that were there beside ours
        self._open = 0  # calls under way
        self._sent = False  # since ours was last seen
        self._left = 0  # since then, before anything of their answers came
        self._left_at = 0.0

    def is_looked_after(self, call: CallInProgress) -> bool:
        """Return whether the list is to be read now that ``call`` is over."""
        if call.answered:
            return self._loads == "otherwise" and call.ended and call.looked_after
        return self._loads != "no"

    def begin(self) -> CallInProgress:
        """Note that a call is about to be sent; return it."""
        self._sent = True
        self._open += 1
        return CallInProgress()

    def end(self) -> None:
        """Note that a call is over."""
        self._open -= 1

    def left(self) -> None:
        """Note that a call was left before anything of its answer came, and ours is not seen to be there."""
        self._left += 1
        self._left_at = trio.current_time()

    def seen(self, rows: Sequence[Resident], ours: Resident) -> None:
        """Note that ours is there as it was."""
        self._others = frozenset(row.id for row in self._memory.instances(rows) if row.id != ours.id)
        self._sent = self._open > 0
        self._left = 0

    def missed(self, rows: Sequence[Resident], ours: Resident, *, by_call: bool) -> None:
        """Note that ours is gone, or is another one. ``by_call``: it was there before a call whose answer has just come to its end."""
        if self._loads == "no" or not self._sent:
            return
        for row in self._new(rows):
            if by_call or (row.id != ours.id and not different(row.config, ours.config)):
                self._bring(row)

    async def settle(self, ours: Resident, lag: float) -> None:
        """Wait, at the shutdown, for what calls may still be loading. Raises AdapterError.

        ``lag``: how many seconds after a call was left its load may still be missing from the list.
        """
        if self._loads == "no" or not self._sent:
            return
        rows = await self._memory.rows()
        if by_id(rows, ours.id) is not None:
            return
        self.missed(rows, ours, by_call=False)
        if self._left and self._loads_now is not None and not await self._loads_now():
            return
        for pause in pauses():
            coming = self._new(rows)
            if not self._left or self.brought or (not coming and trio.current_time() >= self._left_at + lag):
                return
            await trio.sleep(pause)
            rows = await self._memory.rows()
            if any(row.state == "loaded" for row in self._new(rows)):
                await trio.sleep(_COPIES_SECONDS if self._left > 1 else 0)
                for row in self._new(await self._memory.rows()):
                    self._bring(row)

    def forget(self) -> None:
        """Forget what calls have brought: all of it is unloaded."""
        self.brought.clear()
        self._sent, self._left = False, 0

    def _new(self, rows: Sequence[Resident]) -> list[Resident]:
        """Return the instances of the model that are not known yet; ours is among them, as it was seen missing or changed."""
        known = self._others | self.brought.keys()
        return [row for row in self._memory.instances(rows) if row.id not in known]

    def _bring(self, row: Resident) -> None:
        log.warning(
            "%s: the server has loaded %s by itself, for a call: it is unloaded with the adapter",
            self._memory.name,
            fit_to_show(row.id),
        )
        self.brought[row.id] = row
