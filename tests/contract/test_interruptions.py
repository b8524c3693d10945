"""R2 to R5: whatever interrupts the manager, at whatever instruction, no task, lease or deadline is lost."""

from __future__ import annotations

import gc
import signal
import weakref
from collections.abc import Callable
from functools import partial

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    CallOptions,
    InvariantError,
    Lease,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    StreamEvent,
    Transition,
)
from tests.contract.recording import Recorder, Script, api_manager, local_manager, spawn, want
from tests.proof.interruptions import INTERRUPTED, Interruption, at_every_moment, interrupted
from tests.soak.signals import campaign

X, Y = want("local", "x"), want("local", "y")
A = want("api", "a")

# ---- a release between any two lines or instructions ----


@pytest.mark.parametrize(("opcodes", "stride"), [(False, 3), (True, 61)], ids=["lines", "instructions"])
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_r02_a_release_may_interrupt_a_hand_over_anywhere(opcodes: bool, stride: int, twice: bool) -> None:
    """One task releases a lease that another waits for; in the middle of it a handler releases the lease of a third task's wait."""

    def program(at: int) -> int:
        async def main() -> int:
            async with api_manager(Recorder(), limit=2) as manager:
                first, second = [await manager.get_adapter(A) for _ in range(2)]
                async with trio.open_nursery() as nursery:
                    waiters = [await spawn(nursery, manager, A) for _ in range(2)]

                    def interrupt() -> None:
                        second.release()
                        if twice:
                            second.release()
                            first.release()

                    with Interruption(at, interrupt, opcodes=opcodes) as interruption:
                        first.release()
                        await trio.lowlevel.checkpoint()
                        async with manager.acquire(A, timeout=5):
                            pass
                    second.release()
                assert all(waiter.granted is not None for waiter in waiters)
                assert manager.statistics().providers["api"].active == 0
            return interruption.moments

        return trio.run(main, clock=MockClock(autojump_threshold=0))

    assert at_every_moment(program, stride) > 100


@pytest.mark.parametrize("name", INTERRUPTED)
def test_r02_r03_a_release_may_interrupt_a_hand_over_or_the_setting_of_a_deadline_at_any_line(name: str) -> None:
    assert interrupted(name, stride=2) > 30


class Between:
    """What may come between two instructions of ``lease.release()``: each touches the manager in its own way."""

    def __init__(self, manager: ProviderManager, lease: Lease, other: Lease) -> None:
        self.manager = manager
        self.lease = lease
        self.other = other

    def the_same(self) -> None:
        self.lease.release()

    def the_same_broken(self) -> None:
        self.lease.release(broken=True)

    def another(self) -> None:
        self.other.release()

    def another_broken(self) -> None:
        self.other.drain()
        self.other.release(broken=True)

    def everything(self) -> None:
        """Also what only looks: it says the truth, or refuses."""
        self.another()
        self.the_same()
        assert self.manager.statistics().providers["api"].live <= 2
        with pytest.raises(trio.WouldBlock):
            self.manager.acquire_nowait(A)


@pytest.mark.parametrize(
    ("what", "broken"),
    [
        ("the_same", False),
        ("the_same_broken", False),
        ("another_broken", False),
        ("everything", False),
        ("another", True),
        ("the_same", True),
    ],
)
async def test_r02_r04_between_any_two_instructions_of_a_release(
    autojump_clock: MockClock, what: str, broken: bool
) -> None:
    """Two leases are held, and a task waits for each: both are granted what is released, and nothing is left."""
    async with api_manager(Recorder(), limit=2) as manager:
        at = moments = 1
        while moments >= at:
            lease, other = [await manager.get_adapter(A) for _ in range(2)]
            between = Between(manager, lease, other)
            async with trio.open_nursery() as nursery:
                waiters = [await spawn(nursery, manager, A) for _ in range(2)]
                with Interruption(at, getattr(between, what), opcodes=True) as interruption:
                    lease.release(broken=broken)
                other.release()
            assert all(waiter.granted is not None for waiter in waiters)
            await wait_all_tasks_blocked()
            providers = manager.statistics().providers["api"]
            assert (providers.active, providers.draining, providers.waiting, providers.assigned) == (0, 0, 0, 0)
            moments = interruption.moments
            at += 1
        assert moments > 100


def test_r03_a_release_may_interrupt_the_setting_of_a_users_deadline() -> None:
    def program(at: int) -> int:
        async def main() -> int:
            config = ProviderManagerConfig([ProviderConfig("soon", Recorder(), limit=1, idle_timeout=5)])
            async with ProviderManager(config) as manager:
                lease = await manager.get_adapter(want("soon", "m"))
                with trio.CancelScope() as scope, Interruption(at, lease.release, opcodes=False) as interruption:
                    scope.deadline = trio.current_time() + 50
                    await trio.lowlevel.checkpoint()
                lease.release()
                await trio.sleep(6)
                assert manager.statistics().providers["soon"].live == 0
            return interruption.moments

        return trio.run(main, clock=MockClock(autojump_threshold=0))

    assert at_every_moment(program) > 20


def test_r02_statistics_may_be_interrupted_too() -> None:
    def program(at: int) -> int:
        async def main() -> int:
            async with api_manager(Recorder(), limit=3) as manager:
                leases = [await manager.get_adapter(A) for _ in range(3)]

                def interrupt() -> None:
                    leases.pop().release()
                    assert manager.statistics().providers["api"].live == 3

                with Interruption(at, interrupt, opcodes=False) as interruption:
                    manager.statistics()
                while leases:
                    leases.pop().release()
                assert manager.statistics().providers["api"].idle == 3
            return interruption.moments

        return trio.run(main)

    assert at_every_moment(program) > 20


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
async def test_r02_a_thousand_signals_a_second_lose_nothing() -> None:
    """A slice of ``make signals``."""
    done = await campaign(seconds=1.0, rate=1000)
    assert done.signals > 100
    assert done.calls > 10  # a busy machine does little in a second


class Finalised:
    """Releases its lease when it is collected, as users' objects do."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.me = self

    def __del__(self) -> None:
        self.lease.release()


def test_r02_a_finaliser_may_release_anywhere() -> None:
    def program(at: int) -> int:
        async def main() -> int:
            async with api_manager(Recorder(), limit=2) as manager:
                first = await manager.get_adapter(A)
                second = await manager.get_adapter(A)
                Finalised(second)
                async with trio.open_nursery() as nursery:
                    waiters = [await spawn(nursery, manager, A) for _ in range(2)]
                    with Interruption(at, gc.collect, opcodes=False) as interruption:
                        first.release()
                        await trio.lowlevel.checkpoint()
                    gc.collect()
                assert all(waiter.granted is not None for waiter in waiters)
            return interruption.moments

        gc.disable()
        try:
            return trio.run(main)
        finally:
            gc.enable()

    assert at_every_moment(program, 19) > 50


# ---- R5: an observer that raises while a lease is granted ----


class Rude(BaseException):
    """Such as a KeyboardInterrupt."""


def once_at(machine: str, trigger: str, error: BaseException) -> Callable[[Transition], None]:
    """An observer that raises at the first such change."""
    left = [error]

    def observer(change: Transition) -> None:
        if (change.machine, change.trigger) == (machine, trigger) and left:
            raise left.pop()

    return observer


@pytest.mark.parametrize(("machine", "trigger"), [("request", "grant"), ("instance", "acquire"), ("pool", "saturate")])
@pytest.mark.parametrize("how", ["get_adapter", "acquire", "call", "acquire_nowait"])
async def test_r05_an_observer_that_raises_at_a_grant_costs_no_lease(
    autojump_clock: MockClock, machine: str, trigger: str, how: str
) -> None:
    """While the error and its frames live, and after them, for the tasks that wait."""
    config = ProviderManagerConfig([ProviderConfig("api", Recorder(), limit=1)])
    made: list[Callable[[Transition], None]] = []
    async with ProviderManager(config, observers=[lambda change: made[-1](change) if made else None]) as manager:
        (await manager.get_adapter(A)).release()
        made.append(once_at(machine, trigger, Rude()))
        with pytest.raises(Rude) as caught:
            if how == "get_adapter":
                await manager.get_adapter(A)
            elif how == "acquire_nowait":
                manager.acquire_nowait(A)
            elif how == "acquire":
                async with manager.acquire(A):
                    pass
            else:
                async with ReasoningEngine(manager).call([], CallOptions(A)) as stream:
                    assert isinstance(await anext(stream), StreamEvent)
        error = weakref.ref(caught.value)
        assert manager.statistics().providers["api"].active == 0, "while the error and its frames still live"
        async with trio.open_nursery() as nursery:
            waiters = [await spawn(nursery, manager, A, 1) for _ in range(2)]
        assert all(waiter.granted is not None for waiter in waiters)
        assert error() is not None


async def test_r05_so_does_a_property_that_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_manager(Recorder()) as manager:
        (await manager.get_adapter(A)).release()
        manager._interrupt(InvariantError("a property", "that holds", 1, "an event"))
        with pytest.raises(InvariantError):
            await manager.get_adapter(A)
        assert manager.statistics().providers["api"].active == 0
        (await manager.get_adapter(A)).release()


# ---- acquire_nowait ----


async def test_acquire_nowait_takes_what_is_ready_and_changes_nothing_otherwise(autojump_clock: MockClock) -> None:
    recorder = Recorder(x=Script(load=2))
    async with local_manager(recorder, on_conflict="wait") as manager, trio.open_nursery() as nursery:
        with pytest.raises(trio.WouldBlock):
            manager.acquire_nowait(X)
        assert recorder.made == [], "nothing is started"
        (await manager.get_adapter(X)).release()
        async with manager.acquire_nowait(X, agent="ann") as lease:
            assert lease.adapter is recorder.made[0]
            for config in (X, Y):
                with pytest.raises(trio.WouldBlock):
                    manager.acquire_nowait(config)
            waiter = await spawn(nursery, manager, Y, 1)
        with pytest.raises(trio.WouldBlock):
            manager.acquire_nowait(X)  # it would overtake
        await trio.sleep(5)
        assert waiter.ended is not None


async def test_a_handler_of_trios_servers_is_a_task_like_any_other() -> None:
    """Its task begins in trio's own code, which only awaits the handler."""
    async with local_manager(Recorder(), on_conflict="wait") as manager, trio.open_nursery() as nursery:

        async def handle(stream: trio.SocketStream) -> None:
            (await manager.get_adapter(X)).release()
            manager.acquire_nowait(X).release()
            await stream.send_all(b"done")

        (listener,) = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        async with await trio.open_tcp_stream(*listener.socket.getsockname()[:2]) as stream:
            assert await stream.receive_some() == b"done"
        nursery.cancel_scope.cancel()
