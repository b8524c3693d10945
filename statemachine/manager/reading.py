"""Read the stream of one adapter, in a task of its own, and give its lease back when the stream has really ended.

One task and one cancel scope span the stream's life. So a generator may keep a nursery or a time-out open across its yields, whichever
task reads, and the stream can be ended from any task: what the generator waits for is cancelled, its clean-up is waited for,
and only then is the lease given back. The task reads nothing ahead: it asks for an event when the reader does.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, NoReturn

import trio
from trio.lowlevel import disable_ki_protection, enable_ki_protection

from ..config.call import StreamEvent
from ..errors import AdapterError, LeaseReleasedError, TruncatedStreamError
from .auto_reset import AutoResetEvent
from .broken import says_broken, settle
from .expected import check_event, name_of
from .faults import is_cancellation, own_fault, without_close
from .lease import Lease

__all__ = ["Reading"]

END_SECONDS: Final = 5.0  # how long a generator may go on after it has yielded its ``end``
CLOSE_ATTEMPTS: Final = 16  # a generator may yield instead of closing; after this many attempts it is given up

log = logging.getLogger(__name__)


async def closed(events: AsyncIterator[StreamEvent]) -> bool:
    """Close ``events``, and tell whether it has closed. Raises what its clean-up raises.

    A generator may yield instead of closing. After one such yield its ``aclose()`` does nothing any more; ``athrow`` does.
    """
    if not inspect.isasyncgen(events):
        aclose = getattr(events, "aclose", None)
        if aclose is not None:
            await aclose()
        return True
    for _ in range(CLOSE_ATTEMPTS):
        if events.ag_frame is None:
            return True
        with suppress(GeneratorExit, StopAsyncIteration):
            await events.athrow(GeneratorExit)
    return False


class Reading:
    """The reading of ``events`` under ``lease``. :meth:`run` is the task; the rest is for readers, one at a time.

    It does not hold the lease, so that a stream that is dropped can be noticed.
    """

    def __init__(self, lease: Lease, events: AsyncIterator[StreamEvent]) -> None:
        self._lessor, self._ticket, self._number = lease._lessor, lease.ticket, lease._number
        self._lease_text = repr(lease)
        self._adapter_name = name_of(lease.adapter)
        self._events = events
        self._scope = trio.CancelScope(shield=True)
        self._asked = AutoResetEvent()
        self._answered = AutoResetEvent()
        self._ended = trio.Event()
        self._has_reader = False
        self._event: StreamEvent | None = None
        self._error: BaseException | None = None  # what the reader is told
        self._interruption: BaseException | None = None  # what must reach the reader or the closer, whichever is there
        self._closing = False
        self._lost = False  # the lease was released or revoked
        self._whole = False  # the closing event, or an error, was read
        self._broken = False

    # ---- for readers ----

    @enable_ki_protection
    async def next(self) -> StreamEvent:
        """Return the next event; ``end`` when the lease is free. If the call is cancelled, the stream ends.

        Raises what the stream raises, StopAsyncIteration after its end, trio.BusyResourceError while another task reads,
        trio.ClosedResourceError if the stream was closed before its end, LeaseReleasedError if its lease was released or revoked.
        """
        if self._has_reader:
            raise trio.BusyResourceError("another task is reading this stream")
        if not self._ended.is_set():
            self._has_reader = True
            try:
                self._asked.set()
                await self._answered.wait()
            except BaseException:
                await self._give_up()
                raise
            finally:
                self._has_reader = False
        elif self._whole and self._error is None:
            raise StopAsyncIteration
        if self._event is None or self._interruption is not None:
            self._raise()
        event, self._event = self._event, None
        return event

    @enable_ki_protection
    async def close(self) -> None:
        """End the stream and wait until it has ended and its lease is free; again is a no-op. A read in another task is cancelled."""
        self._closing = True
        self._asked.set()
        if self._has_reader:
            self._scope.cancel()
        if not self._ended.is_set():
            try:
                await self._ended.wait()
            except BaseException:
                await self._give_up()
                raise
        if self._interruption is not None and not self._has_reader:
            self._raise()

    def end(self) -> None:
        """End the stream soon: its lease is over."""
        self._lost = self._closing = True
        self._asked.set()
        self._scope.cancel()

    def goes_on(self) -> bool:
        """Return whether a task reads it now."""
        return self._has_reader

    async def _give_up(self) -> None:
        """End the stream at once, and wait until it has ended: its reader, or the task that closes it, waits no longer."""
        self._closing = True
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    def _raise(self) -> NoReturn:
        error, self._error, self._interruption = self._interruption or self._error, None, None
        if error is None and self._lost:
            error = LeaseReleasedError(f"{self._lease_text}: it ended before its stream")
        if error is None:
            error = trio.ClosedResourceError("the stream was closed before its end")
        try:
            raise error
        finally:
            del error  # no cycle of exception and frame

    # ---- the task ----

    @enable_ki_protection
    async def run(self) -> None:
        """Read until the stream ends, is closed, or fails; see it end; give the lease back."""
        try:
            with self._scope:
                try:
                    await self._read()
                except BaseException as error:
                    self._fail(error)
                await self._see_it_end()
        finally:  # also where a generator has left a scope open, which trio does not forgive
            try:
                self._lessor.end_use(self._ticket, self._broken)
            except BaseException as error:  # an observer's
                self._interruption = error
            self._ended.set()
            self._answered.set()

    async def _read(self) -> None:
        while True:
            try:
                yielded = await self._wait_until_asked()
                if self._closing:
                    return
                event = check_event(yielded[0] if yielded else await self._next_of_adapter(), self._adapter_name)
            except StopAsyncIteration:
                raise TruncatedStreamError("the stream stopped without its closing event") from None
            if self._closing:
                return
            if isinstance(event.data, AdapterError):
                raise event.data
            self._event = event
            if event.type == "end":
                self._whole = True
                await self._read_on()
                return
            self._answered.set()

    @disable_ki_protection
    async def _next_of_adapter(self) -> object:
        return await anext(self._events)

    async def _wait_until_asked(self) -> tuple[object, ...]:
        """Wait until an event is asked for, or the stream is to be closed. Returns what the adapter has yielded meanwhile, if anything.

        A scope that a stream holds open between its events (a time-out, a nursery whose task has failed) may be cancelled while nothing
        is asked for. The stream must see it, and may go on after it: a generator at once, any other when its next event is asked for.
        """
        yielded: tuple[object, ...] = ()
        try:
            await self._asked.wait()
        except trio.Cancelled as cancelled:  # by a scope of the stream's: what ends it asks first
            if inspect.isasyncgen(self._events):
                yielded = (await self._events.athrow(cancelled),)
            with trio.CancelScope(shield=True):
                await self._asked.wait()
        return yielded

    async def _read_on(self) -> None:
        """Let a generator come to its own end, which closes what it has open. What it still yields is not looked at."""
        if not inspect.isasyncgen(self._events):
            return
        self._scope.deadline = trio.current_time() + END_SECONDS
        try:
            await self._next_of_adapter()
        except StopAsyncIteration:
            pass
        except BaseException as error:
            self._fail_closing(error)

    async def _see_it_end(self) -> None:
        """Close the stream. A generator that does not close makes its instance broken: the shutdown must end it."""
        try:
            if await closed(self._events):
                return
        except BaseException as error:
            self._fail_closing(error)
            return
        self._broken = True
        log.warning("a stream of %s does not end; its instance is taken for broken", self._lease_text)

    def _fail(self, error: BaseException) -> None:
        """Tell the reader that the stream has failed, unless it is being closed anyway."""
        if self._closing:
            self._fail_closing(error)
            return
        told = without_close(error)
        told = TruncatedStreamError("the stream closed itself") if told is None else told
        told = own_fault(told, f"{self._adapter_name}.call()", cancelled=False)  # else it would be closing
        self._whole = True
        self._error = told
        self._broken = says_broken(told)
        settle(told, self._number)
        if self._broken:
            self._lessor.drain(self._ticket)  # it must not be granted while the stream takes its time to close

    def _fail_closing(self, error: BaseException) -> None:
        """Log what goes wrong while a stream closes: the answer, or what went wrong with it, matters more."""
        fault = without_close(error)
        if fault is None or (self._scope.cancel_called and is_cancellation(fault)):
            return
        self._broken = self._broken or says_broken(fault)
        log.warning("closing a stream of %s failed with %s", self._lease_text, type(fault).__name__)
        if not isinstance(fault, Exception) and not is_cancellation(fault):
            self._interruption = fault
