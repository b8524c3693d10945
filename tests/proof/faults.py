"""Faults that were found by attacking the library, each as a small program that is run under every schedule.

R1: a stream is ended by another task, or read by two. R5: an observer raises while a lease is being granted. R9: an adapter raises a
cancellation that it has stored. R13: a child of a holder asks. After every step the outside agrees with the coordinator, as in every world.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any, Final, TypeAlias

import trio

from statemachine.config.call import CallOptions
from statemachine.config.providers import ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.core.events import Transition
from statemachine.errors import AdapterInstantiationError, ContentionError, LeaseReleasedError
from statemachine.manager.engine import AnswerStream
from statemachine.schedules import Cancelling, watch

from .cancellation import small_world
from .expect import expect
from .scripted import Scripted
from .subject import PRODUCTION, Subject, subject_of
from .world import World, wish

__all__ = ["FAULTS", "Ending", "Fault", "a_stream_is_ended", "close", "fault", "read", "release"]

Fault: TypeAlias = Callable[[Subject, Cancelling | None], Awaitable[None]]
"""A program of a subject. What is given besides may cancel one of its tasks."""


class RudeError(BaseException):
    """Such as a KeyboardInterrupt."""


class _Ends:
    """How the tasks of a program have ended, and what they raised, whose frames may hold a lease."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.errors: list[BaseException] = []

    async def use(
        self, world: World, config: RuntimeProviderConfig, scope: AbstractContextManager[object] | None = None
    ) -> None:
        """Acquire and release, and say how that ended. ``scope``: what may cancel it."""
        how = "cancelled"
        with scope or trio.CancelScope():
            try:
                async with world.manager.acquire(config):
                    await trio.lowlevel.checkpoint()
                how = "served"
            except (RudeError, AdapterInstantiationError, ContentionError) as error:
                how = "failed"
                self.errors.append(error)
        self.counted[how] += 1

    def watch(self, world: World, *more: Callable[[], Hashable]) -> None:
        """What this program knows decides its future, too."""
        outside = world.outside
        watch(state=lambda: (outside.state(), *sorted(self.counted.items()), *(one() for one in more)))

    def expect_failed(self, most: int, sentence: str) -> None:
        """Raises DoesNotHoldError unless ``most`` tasks have failed; where one was cancelled, it may have been one of these."""
        failed, cancelled = self.counted["failed"], self.counted["cancelled"]
        expect(most - cancelled <= failed <= most, sentence, self.counted)


# ---- R1 ----

Ending: TypeAlias = Callable[["Answer"], Awaitable[None]]
ANSWER: Final = {"token_seconds": 1, "cleanup_seconds": 1, "cleanup_shielded": True}
EVENTS: Final = 3


class Answer:
    """One answer that several tasks read or end. ``read`` counts its events, ``refused`` the reads beside another one."""

    def __init__(self, world: World, stream: AnswerStream) -> None:
        self.world = world
        self.stream = stream
        self.read = 0
        self.refused = 0
        self.ended_early = False

    def ends(self) -> None:
        """Raises DoesNotHoldError unless the generator has ended and the lease is over."""
        expect(self.stream.lease.released, "a stream that is over has kept its lease")
        expect(not self.world.recorder.adapters[0].open_calls, "a stream is said to be over, and its generator goes on")

    def state(self) -> Hashable:
        """What it and the reading of its stream have come to."""
        own = (self.read, self.refused, self.ended_early)
        return own, tuple((name, _plain(value)) for name, value in vars(self.stream._reading).items())


def _plain(value: object) -> Hashable:
    if isinstance(value, trio.Event):
        return value.is_set()
    if isinstance(value, trio.CancelScope):
        return value.deadline, value.cancel_called
    return value if isinstance(value, bool) else type(value).__name__


async def read(answer: Answer) -> None:
    """Read to the end, until another task ends the stream, or until it turns out that another task reads."""
    try:
        async for _ in answer.stream:
            answer.read += 1
    except trio.BusyResourceError:
        answer.refused += 1
        return
    except (trio.ClosedResourceError, LeaseReleasedError):
        expect(answer.ended_early, "a stream that no task has ended says that it was")
    else:
        expect(answer.read == EVENTS, "an event was lost", answer.read)
    answer.ends()


async def close(answer: Answer) -> None:
    """End the stream, as a stop button does."""
    answer.ended_early = True
    await answer.stream.close()
    answer.ends()


async def release(answer: Answer) -> None:
    """Give the lease back in the middle of the stream."""
    answer.ended_early = True
    answer.stream.lease.release()
    await trio.lowlevel.checkpoint()


async def a_stream_is_ended(subject: Subject, cancelling: Cancelling | None, *endings: Ending) -> None:
    """One task reads, others end the stream or read it, too, and one waits for the slot with another model."""
    world = small_world(subject)
    options = CallOptions(wish("x", "local", **ANSWER))
    async with world.manager:
        async with trio.open_nursery() as nursery:
            with _scope(cancelling):
                async with world.engine.call([{"role": "user", "content": "a b"}], options) as stream:
                    answer = Answer(world, stream)
                    outside = world.outside
                    watch(state=lambda: (outside.state(), answer.state()))
                    async with trio.open_nursery() as inner:
                        inner.start_soon(read, answer)
                        nursery.start_soon(world.use, wish("y", "local"), 1)
                        for ending in endings:
                            inner.start_soon(ending, answer)
                answer.ends()
        await world.check_it_still_grants()
    await world.check_it_is_over()
    for adapter in world.recorder.adapters:
        expect(not adapter.overlaps, "a stream was under way when its instance was shut down", adapter.overlaps)


# ---- R5 ----


async def an_observer_raises(subject: Subject, cancelling: Cancelling | None = None) -> None:
    """One task gets the error, its lease is given back though the error lives on, and the others are served."""
    left: list[RudeError] = []

    def observer(change: Transition) -> None:
        if change.machine == "request" and change.trigger == "grant" and left:
            raise left.pop()

    class Observed(subject.manager):  # type: ignore[name-defined, misc]  # a class that the subject names
        def __init__(self, config: ProviderManagerConfig, **options: Any) -> None:
            super().__init__(config, observers=[observer], **options)

    world = World(Subject(Observed, subject.core, subject.engine), {"api": {"limit": 1}})
    ends = _Ends()
    async with world.manager:
        (
            await world.manager.get_adapter(wish())
        ).release()  # the instance is there: the task that asks causes its grant
        left.append(RudeError())
        ends.watch(world, lambda: bool(left))
        with trio.move_on_after(1000) as patience:
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(ends.use, world, wish())
                nursery.start_soon(ends.use, world, wish(), _scope(cancelling))
        expect(not patience.cancelled_caught, "the others wait for a lease that was never delivered")
        ends.expect_failed(1, "an error at one grant cost another task its own")
        await world.check_it_still_grants()
    await world.check_it_is_over()


# ---- R9 ----


async def a_stored_cancellation(subject: Subject, cancelling: Cancelling | None = None) -> None:
    """It is a failed start, told to the task that caused it; the others cause the next one."""
    stored: list[BaseException] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            stored.append(cancelled)

    class Adapter(Scripted):
        async def start(self) -> None:
            await trio.lowlevel.checkpoint()
            if stored:
                raise stored.pop()

    world = World(subject, {"api": {}, "local": {"is_local": True, "parallel": 2}}, Adapter, on_conflict="wait")
    ends, began = _Ends(), trio.current_time()
    async with world.manager:
        ends.watch(world, lambda: bool(stored))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.use, world, wish("m", "local"), _scope(cancelling))
            nursery.start_soon(ends.use, world, wish("m", "local"))
        expect(trio.current_time() < began + 60, "only its time-out has ended a start that was over")
        ends.expect_failed(1, "a stored cancellation did harm")
        await world.check_it_still_grants()
    await world.check_it_is_over()


# ---- R13 ----


async def a_child_of_the_holder(subject: Subject, cancelling: Cancelling | None = None) -> None:
    """A child that would wait for its parent's lease is refused; a stranger gets the slot when the parent has left."""
    world = World(subject, {"api": {}, "local": {"is_local": True}}, on_conflict="wait")
    children, strangers = _Ends(), _Ends()

    async def parent() -> None:
        with _scope(cancelling):
            async with world.manager.acquire(wish("m", "local")), trio.open_nursery() as inner:
                inner.start_soon(children.use, world, wish("n", "local"))
                inner.start_soon(children.use, world, wish("m", "local"))

    async with world.manager:
        children.watch(world, lambda: strangers.counted.total())
        with trio.move_on_after(1000) as patience:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(parent)
                nursery.start_soon(strangers.use, world, wish("n", "local"))
        expect(not patience.cancelled_caught, "a child waits for its parent, which waits for the child")
        expect(not children.counted["served"], "a child was served")
        if cancelling is None or cancelling.cancelled_at is None:
            children.expect_failed(2, "a child was not refused")
        strangers.expect_failed(0, "a stranger was refused")
        await world.check_it_still_grants()
    await world.check_it_is_over()


def _scope(cancelling: Cancelling | None) -> AbstractContextManager[object]:
    return trio.CancelScope() if cancelling is None else cancelling.scope()


def _r1(*endings: Ending) -> Fault:
    return lambda subject, cancelling: a_stream_is_ended(subject, cancelling, *endings)


FAULTS: Final[dict[str, Fault]] = {
    "R1, closed": _r1(close),
    "R1, released": _r1(release),
    "R1, read by two": _r1(read),
    "R5": an_observer_raises,
    "R9": a_stored_cancellation,
    "R13": a_child_of_the_holder,
}
"""By the row of the fault."""


async def fault(name: str, subject: Subject | str = PRODUCTION) -> None:
    """The fault of this name, as a program with a name. ``subject``: also as a name to import it by."""
    await FAULTS[name](subject_of(subject), None)
