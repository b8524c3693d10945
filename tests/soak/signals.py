"""``python -m tests.soak.signals --minutes 10``: leases released by signal handlers, thousands of times a second, and none is lost.

Agents acquire from one local slot and two API providers. A real signal arrives at random moments. Its handler releases at most one of the
leases that are held, now and then as broken, and releases it again at once. Every acquire has a time-out that only a lost task or lease
can reach.

The rate is of signals that were handled. All that arrive while the process does not run are one to it, so on a busy machine more are sent.
Fewer than were asked for fail the campaign on a quiet machine; on another one they are told.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

import trio

from adapters import FakeAdapter
from statemachine import Lease, ProviderConfig, ProviderManager, ProviderManagerConfig, RuntimeProviderConfig

__all__ = ["Done", "campaign", "main"]

LOST_SECONDS = 20.0
AGENTS = 8
RELEASES: Final = 0.5  # the share of the signals whose handler releases a lease, if one is held
BROKEN: Final = 0.02  # the share of those that break the instance
QUIET: Final = 0.9  # the share of one processor that this process gets on a quiet machine
TOLERANCE: Final = 0.95  # the share of the asked rate that is enough
PACE_SECONDS: Final = 0.25  # how often the number of signals that are sent is corrected
MOST_SENT: Final = 4.0  # times the rate


@dataclass
class Done:
    """What a campaign has done: signals handled, leases released by their handlers, and calls of agents.

    ``seconds`` of real time, ``processor_seconds`` of this process.
    """

    signals: int = 0
    released: int = 0
    calls: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Signals handled a second."""
        return self.signals / self.seconds

    @property
    def is_quiet(self) -> bool:
        """Whether nothing else kept this process, which never rests, from its processor."""
        return self.processor_seconds >= QUIET * self.seconds

    def __str__(self) -> str:
        share = self.processor_seconds / self.seconds
        return (
            f"{self.signals} signals handled in {self.seconds:.0f} s ({self.rate:.0f} a second, "
            f"{self.signals / self.processor_seconds:.0f} a processor second, with {share:.0%} of a processor), "
            f"{self.released} leases released by handlers, {self.calls} calls"
        )


class _Campaign:
    def __init__(self, seconds: float, rate: float, seed: int) -> None:
        self.rate = rate
        self.done = Done()
        self.held: dict[int, Lease] = {}
        self.end = time.monotonic() + seconds
        self.random = random.Random(seed)
        self.handlers = random.Random(seed + 1)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """As a signal handler: release one lease at most, wherever the program is."""
        self.done.signals += 1
        names = tuple(self.held)
        if names and self.handlers.random() < RELEASES:
            lease = self.held[names[int(self.handlers.random() * len(names))]]
            self.done.released += not lease.released
            lease.release(broken=self.handlers.random() < BROKEN)
            lease.release()

    async def pace(self) -> None:
        """Send as many signals as it takes for those that were asked for to be handled."""
        interval, seen, began = 1 / self.rate, 0, time.monotonic()
        while began < self.end:
            signal.setitimer(signal.ITIMER_REAL, interval, interval)
            await trio.sleep(PACE_SECONDS)
            handled, now = self.done.signals - seen, time.monotonic()
            share = handled / (self.rate * (now - began))
            interval = min(max(interval * share, 1 / (MOST_SENT * self.rate)), 1 / self.rate)
            seen, began = self.done.signals, now

    async def agent(self, manager: ProviderManager, name: int) -> None:
        while time.monotonic() < self.end:
            provider, model = self.random.choice([("local", "a"), ("local", "b"), ("one", "m"), ("two", "m")])
            lease = await manager.get_adapter(RuntimeProviderConfig(provider, model), timeout=LOST_SECONDS)
            self.held[name] = lease
            for _ in range(self.random.randrange(3)):
                await trio.lowlevel.checkpoint()
            del self.held[name]
            lease.release()
            self.done.calls += 1


async def campaign(seconds: float, rate: float, seed: int = 0) -> Done:
    """Run for ``seconds``, and handle ``rate`` signals a second. Raises AcquireTimeoutError where something was lost."""
    run = _Campaign(seconds, rate, seed)
    config = ProviderManagerConfig(
        [
            ProviderConfig("local", FakeAdapter, is_local=True, parallel=2),
            ProviderConfig("one", FakeAdapter, limit=1, idle_timeout=0.01),
            ProviderConfig("two", FakeAdapter, limit=2),
        ],
        on_conflict="wait",
    )
    began, processor = time.monotonic(), time.process_time()
    before = signal.signal(signal.SIGALRM, run.handle)
    try:
        async with ProviderManager(config) as manager:
            with trio.fail_after(seconds + 2 * LOST_SECONDS):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(run.pace)
                    for name in range(AGENTS):
                        nursery.start_soon(run.agent, manager, name)
            at_rest = manager.statistics()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    run.done.seconds, run.done.processor_seconds = time.monotonic() - began, time.process_time() - processor
    for provider in at_rest.providers.values():
        if provider.active or provider.draining or provider.waiting or provider.assigned:
            raise AssertionError(f"something is left at rest: {provider}")
    return run.done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one campaign and print what it has done; 1 if something was lost, or too few signals were handled on a quiet machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.signals", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default %(default)s)")
    parser.add_argument("--rate", type=float, default=3000.0, help="signals a second (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all choices (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        done = trio.run(campaign, 60 * options.minutes, options.rate, options.seed)
    except (AssertionError, Exception) as error:
        print(f"lost: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"nothing lost: {done}")
    if done.rate >= TOLERANCE * options.rate:
        return 0
    asked = f"{TOLERANCE:.0%} of the {options.rate:.0f} a second that were asked for"
    if done.is_quiet:
        print(f"too few signals: fewer than {asked}, on a quiet machine", file=sys.stderr)
        return 1
    print(f"this machine is not quiet: fewer signals than {asked} say nothing about the handler")
    return 0


if __name__ == "__main__":
    sys.exit(main())
