"""Cancelling an acquire, a stream or a close at every step of its life, once and twice, and a stream that fails at every chunk.

What is held against every run: the cancellation reaches its caller, every instance is stopped, no slot is lost, and the manager still
works; and after every step, that the outside agrees with the coordinator and every named property holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import trio

from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import (
    AdapterError,
    AdapterInstantiationError,
    LeaseReleasedError,
    ManagerClosedError,
    ModelEvictedError,
)
from statemachine.schedules import NATURAL, Cancelling, Schedule, run, sweep

from .expect import expect, expect_error
from .subject import PRODUCTION, Subject
from .world import ENDLESS, World, wish

__all__ = ["ACQUIRES", "CLOSES", "FAILING_STREAMS", "STREAMS", "Case", "play", "small_world", "sweep_case"]

SHUTDOWN_TIMEOUT = 10
GRACE = 20

Program: TypeAlias = Callable[[World], Awaitable[None]]


def small_world(subject: Subject = PRODUCTION) -> World:
    """One API instance, and one local slot for two leases."""
    return World(
        subject,
        {"api": {"limit": 1}, "local": {"is_local": True, "parallel": 2}},
        on_conflict="wait",
        start_timeout=50,
        shutdown_timeout=SHUTDOWN_TIMEOUT,
        close_grace=GRACE,
    )


async def nothing(world: World) -> None:
    """Beside what is cancelled, or before it."""
    await trio.lowlevel.checkpoint()


class Case(NamedTuple):
    """``subject`` is what gets cancelled, ``other`` runs beside it, ``before`` came before it.

    ``closes``: the subject is the manager's whole block; otherwise it runs in a manager that goes on afterwards.
    """

    name: str
    subject: Program
    other: Program = nothing
    before: Program = nothing
    closes: bool = False


def sweep_case(
    case: Case,
    subject: Subject = PRODUCTION,
    schedule: Callable[[], Schedule] = lambda: NATURAL,
    *,
    twice: bool = True,
) -> int:
    """Run ``case`` with a cancellation at every step; how many steps that took. Raises ScheduleError."""

    def attempt(cancelling: Cancelling) -> None:
        run(lambda: play(case, cancelling, subject), schedule(), instruments=[cancelling]).raise_if_failed()

    return sweep(attempt, twice=twice)


async def play(case: Case, cancelling: Cancelling, subject: Subject = PRODUCTION) -> None:
    """One run of ``case``, as a program. Raises DoesNotHoldError."""
    await (_close if case.closes else _go_on)(case, cancelling, subject)


async def _go_on(case: Case, cancelling: Cancelling, subject: Subject) -> None:
    world = small_world(subject)
    async with world.manager:
        await case.before(world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(case.other, world)
            with cancelling.scope():
                await case.subject(world)
        world.outside.check_nothing_is_served()
        await world.check_it_still_grants()
    await world.check_it_is_over()


async def _close(case: Case, cancelling: Cancelling, subject: Subject) -> None:
    world = small_world(subject)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(case.other, world)
        with cancelling.scope():
            await case.subject(world)
        ended = trio.current_time()
        world.entered.set()
    await world.check_it_is_over()
    if cancelling.cancelled_at is not None:  # no grace, and a bounded end
        expect(ended <= cancelling.cancelled_at + SHUTDOWN_TIMEOUT, "a cancelled close took too long")


# ---- acquiring and streaming ----


def _use(config: RuntimeProviderConfig, seconds: float = 1) -> Program:
    return lambda world: world.use(config, seconds)


def _stream(config: RuntimeProviderConfig, take: int | None = None) -> Program:
    return lambda world: world.stream(config, take)


async def _join(world: World) -> None:
    await trio.sleep(1)
    await world.use(wish("slow", "local", load_seconds=3), 1)


async def _join_a_failure(world: World) -> None:
    await trio.sleep(1)
    with expect_error(AdapterInstantiationError):
        await world.use(wish("bad", "local", load_seconds=3, unload_seconds=2, fail_start=True), 1)


async def _fail_to_start(world: World) -> None:
    with expect_error(AdapterInstantiationError):
        await world.use(wish("bad", "local", load_seconds=3, unload_seconds=2, fail_start=True), 1)


async def _head_of_the_queue(world: World) -> None:
    await trio.sleep(1)
    await world.use(wish("y", "local"), 1)


async def _held_up_by_the_head(world: World) -> None:
    """One lease of two is taken; who wants the other one may not overtake the head, which wants another model."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.use, wish("x", "local"), 5)
        await trio.sleep(2)
        await world.use(wish("x", "local"), 1)


async def _queue(world: World) -> None:
    await trio.sleep(1)
    await world.use(wish("other"), 1)


async def _by_hand(world: World) -> None:
    lease = await world.manager.get_adapter(wish(load_seconds=1))
    try:
        await trio.sleep(1)
    finally:
        lease.release()
        lease.release()


async def _time_out(world: World) -> None:
    await trio.sleep(1)
    with expect_error(TimeoutError):
        await world.manager.get_adapter(wish("other"), timeout=2)


ACQUIRES = [
    Case("granted at once", _use(wish()), before=_use(wish())),
    Case("a start", _use(wish(load_seconds=2))),
    Case("a start, by hand", _by_hand),
    Case("a queue", _queue, other=_use(wish(), 5)),
    Case("the head of a queue", _head_of_the_queue, other=_held_up_by_the_head),
    Case("a time-out in the queue", _time_out, other=_use(wish(), 5)),
    Case("an eviction", _use(wish("other")), before=_use(wish(unload_seconds=3))),
    Case("an overdue eviction", _use(wish("other")), before=_use(wish(unload_seconds=ENDLESS))),
    Case("a joined start", _join, other=_use(wish("slow", "local", load_seconds=3))),
    Case("a failing start", _fail_to_start),
    Case("a joined start that fails", _join_a_failure, other=_fail_to_start),
]
LONG: dict[str, Any] = {"first_token_seconds": 1, "token_seconds": 1, "load_seconds": 1}
STREAMS = [
    Case("a stream", _stream(wish(**LONG))),
    Case("a stream that cleans up", _stream(wish(**LONG, cleanup_seconds=2))),
    Case("a stream that cleans up, shielded", _stream(wish(**LONG, cleanup_seconds=2, cleanup_shielded=True))),
    Case("a stream left early", _stream(wish(**LONG), 1)),
    Case("a stream left early that cleans up", _stream(wish(**LONG, cleanup_seconds=2), 1)),
    Case("a stream that waits for its turn", _stream(wish("other", **LONG)), other=_use(wish(), 5)),
]


def _failing(position: int, fault: str) -> Case:
    async def subject(world: World) -> None:
        with expect_error(AdapterError):
            await world.stream(wish(token_seconds=1, fail_after=position, fault=fault, cleanup_seconds=1))
        # uncancelled, the instance is kept, unless the error says that it is broken
        api = world.manager.statistics().providers["api"]
        expect((api.idle, api.stopping) == ((0, 1) if fault == "break" else (1, 0)), "kept or stopped wrongly", api)

    return Case(f"a stream that fails at chunk {position}: {fault}", subject)


FAILING_STREAMS: Sequence[Case] = [
    _failing(position, fault) for position in range(4) for fault in ("event", "raise", "truncate", "break")
]

# ---- close ----


async def _block(world: World) -> None:
    """The manager's whole life."""
    async with world.manager:
        world.entered.set()
        await trio.sleep(2)


async def _busy_block(world: World) -> None:
    """The body itself holds a lease, and lets go only when it is cancelled or the manager closes."""
    async with world.manager:
        world.entered.set()
        async with world.manager.acquire(wish(load_seconds=1, unload_seconds=2)):
            await trio.sleep(2)


async def _failing_block(world: World) -> None:
    """Left by an exception, which comes out bare, and without a grace."""
    with expect_error(KeyError):
        async with world.manager:
            world.entered.set()
            await trio.sleep(2)
            raise KeyError
    expect(trio.current_time() <= 2 + SHUTDOWN_TIMEOUT, "closing took too long")


def _outside(*programs: Program) -> Program:
    """Other tasks, which know nothing of the manager's end until they meet it."""

    async def one(program: Program, world: World) -> None:
        await world.entered.wait()
        with suppress(ManagerClosedError, LeaseReleasedError, ModelEvictedError):  # when the manager has gone
            await program(world)

    async def all_of_them(world: World) -> None:
        async with trio.open_nursery() as nursery:
            for program in programs:
                nursery.start_soon(one, program, world)

    return all_of_them


SLOW: dict[str, Any] = {"unload_seconds": 3}
HANGING: dict[str, Any] = {"unload_seconds": ENDLESS}
CLOSES: Sequence[Case] = [
    case._replace(closes=True)
    for case in [
        Case("of nothing", _block),
        Case("with a body that holds a lease", _busy_block),
        Case("with a lease that ends within the grace", _block, _outside(_use(wish(**SLOW), 5))),
        Case("with a lease that is revoked", _block, _outside(_use(wish(**SLOW), 60))),
        Case("by an exception, with a lease that is revoked", _failing_block, _outside(_use(wish(**SLOW), 60))),
        Case("with a waiter", _block, _outside(_use(wish(), 5), _use(wish("other")))),
        Case("with a start that succeeds", _block, _outside(_use(wish(load_seconds=5, **SLOW)))),
        Case("with a start that is interrupted", _block, _outside(_use(wish(load_seconds=ENDLESS, **SLOW)))),
        Case("with an idle instance that is slow to stop", _block, _outside(_use(wish(**SLOW)))),
        Case("with an idle instance that hangs", _block, _outside(_use(wish(**HANGING)))),
        Case("with an instance that fails to stop", _block, _outside(_use(wish(fail_shutdown=True)))),
        Case("with an eviction under way", _block, _outside(_use(wish(**SLOW), 0.5), _use(wish("other")))),
        Case("with a stream under way", _block, _outside(_stream(wish(token_seconds=30)))),
        Case(
            "with all of them",
            _block,
            _outside(
                _use(wish(**HANGING), 60),
                _use(wish("other")),
                _use(wish("local", "local", load_seconds=ENDLESS, **SLOW)),
                _use(wish("local", "local", load_seconds=ENDLESS, **SLOW)),
            ),
        ),
    ]
]
