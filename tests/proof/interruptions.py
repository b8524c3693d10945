"""A release between any two lines or instructions of a program, as a signal handler or a finaliser makes it (R2 to R4).

A tracing function is called before each line (or instruction) of everything that is called; at one of them it releases a lease.
The program is run again and again, with the interruption one moment later each time, until it has no more moments.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, NoReturn, TypeAlias

import trio
import trio.testing

from statemachine.config.call import CallOptions
from statemachine.config.providers import ProviderConfig, ProviderManagerConfig
from statemachine.config.runtime import RuntimeProviderConfig
from statemachine.errors import LeaseReleasedError
from statemachine.manager.manager import ProviderManager

from .expect import DoesNotHoldError, expect
from .recorder import Recorder
from .scripted import Scripted
from .subject import PRODUCTION, Subject

__all__ = ["INTERRUPTED", "Interruption", "at_every_moment", "interrupted"]

LOST_SECONDS: Final = 20  # of real time: a task that is lost keeps its run from ending


class Interruption:
    """In its block, call ``what`` before the ``at``-th line (or instruction) of everything that is called, as a signal handler would be.

    ``moments`` is how many there were.
    """

    def __init__(self, at: int, what: Callable[[], object], *, opcodes: bool = False) -> None:
        self.moments = 0
        self._at = at
        self._what = what
        self._opcodes = opcodes

    def __enter__(self) -> Interruption:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes = self._opcodes
        if event == ("opcode" if self._opcodes else "line"):
            self.moments += 1
            if self.moments == self._at:
                self._what()
        return self._trace


def at_every_moment(program: Callable[[int], int], stride: int = 1) -> int:
    """Run ``program`` with an interruption at moments 1, 1 + stride, ... until it has no more; how many it had. It returns that number."""
    at = 1
    while (moments := program(at)) >= at:
        at += stride
    return moments


Program: TypeAlias = Callable[[Subject, int, bool], int]


def a_hand_over(subject: Subject, at: int, opcodes: bool) -> int:
    """One task releases a lease that another one waits for; in the middle of it a handler releases the lease of a third task's wait."""

    async def main() -> int:
        granted: list[RuntimeProviderConfig] = []
        async with _manager(subject, ProviderConfig("p", Scripted, limit=2)) as manager:
            first, second = [await manager.get_adapter(_M) for _ in range(2)]

            async def wait() -> None:
                async with manager.acquire(_M):
                    granted.append(_M)

            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                with Interruption(at, second.release, opcodes=opcodes) as interruption:
                    first.release()
                    await trio.lowlevel.checkpoint()
                    async with manager.acquire(_M, timeout=5):
                        pass
                second.release()
            expect(len(granted) == 2, "a task was not granted what was released")
            expect(manager.statistics().providers["p"].active == 0, "a lease is left")
        return interruption.moments

    return _run(main)


def a_deadline(subject: Subject, at: int, opcodes: bool) -> int:
    """An instance that becomes idle arms a deadline; in the middle of it a handler makes another one idle, to be evicted sooner."""

    async def main() -> int:
        late, soon = (ProviderConfig(name, Scripted, idle_timeout=s) for name, s in (("late", 100), ("soon", 5)))
        async with _manager(subject, late, soon) as manager:
            leases = [await manager.get_adapter(RuntimeProviderConfig(name, "m")) for name in ("late", "soon")]
            with Interruption(at, leases[1].release, opcodes=opcodes) as interruption:
                leases[0].release()
            leases[1].release()
            await trio.sleep(6)
            expect(manager.statistics().providers["soon"].live == 0, "an eviction is late")
            await trio.sleep(95)
            expect(manager.statistics().providers["late"].live == 0, "an eviction is late")
        return interruption.moments

    return _run(main)


def a_stream(subject: Subject, at: int, opcodes: bool) -> int:
    """One task reads an answer; in the middle of it a handler releases its lease. Another one waits for the slot with another model."""

    async def main() -> int:
        recorder = Recorder()
        async with _manager(subject, ProviderConfig("p", recorder.adapter, is_local=True)) as manager:
            granted: list[RuntimeProviderConfig] = []

            async def wait() -> None:
                async with manager.acquire(_OTHER):
                    expect(not recorder.adapters[0].open_calls, "a slot was handed over under a stream that goes on")
                    granted.append(_OTHER)

            prompt = [{"role": "user", "content": "a b"}]
            async with trio.open_nursery() as nursery:
                async with subject.engine(manager).call(prompt, CallOptions(_M)) as stream:
                    nursery.start_soon(wait)
                    await trio.testing.wait_all_tasks_blocked()
                    with Interruption(at, stream.lease.release, opcodes=opcodes) as interruption:
                        with suppress(LeaseReleasedError):
                            async for _ in stream:
                                pass
                    expect(stream.lease.released, "a stream has ended with its lease held")
            expect(granted, "a task was not granted what was released")
        expect(not recorder.not_shut_down_once(), "not shut down exactly once")
        expect(not any(adapter.overlaps for adapter in recorder.adapters), "a call and a shutdown overlap")
        return interruption.moments

    return _run(main)


INTERRUPTED: Final[dict[str, Program]] = {
    "R1, a stream": a_stream,
    "R2, a hand-over": a_hand_over,
    "R3, a deadline": a_deadline,
}
"""By the row of the fault."""

_M: Final = RuntimeProviderConfig("p", "m")
_OTHER: Final = RuntimeProviderConfig("p", "other")


def interrupted(name: str, subject: Subject = PRODUCTION, stride: int = 1, *, opcodes: bool = False) -> int:
    """Run the program of this name with a release at every ``stride``-th moment. Returns the moments. Raises DoesNotHoldError."""
    program = INTERRUPTED[name]
    moment = 0

    def at(number: int) -> int:
        nonlocal moment
        moment = number
        with _bounded():
            return program(subject, number, opcodes)

    try:
        return at_every_moment(at, stride)
    except (Exception, trio.TrioInternalError) as error:
        raise DoesNotHoldError(f"{name}, interrupted at moment {moment}: {type(error).__name__}: {error}") from error


def _manager(subject: Subject, *providers: ProviderConfig) -> ProviderManager:
    return subject.manager(ProviderManagerConfig(providers, on_conflict="wait"), core=subject.core)


def _run(main: Callable[[], Any]) -> int:
    moments: int = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return moments


@contextmanager
def _bounded() -> Iterator[None]:
    """End a run that would never end because a task of it was lost."""

    def lost(number: int, frame: FrameType | None) -> NoReturn:
        sys.settrace(None)
        raise TimeoutError("a task was lost")

    before = signal.signal(signal.SIGALRM, lost)
    signal.setitimer(signal.ITIMER_REAL, LOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
