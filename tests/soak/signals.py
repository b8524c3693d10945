"""``python -m tests.soak.signals --minutes 10``: leases released by signal handlers, thousands of times a second, and none is lost.

Agents acquire from one local slot and two API providers. A real signal arrives at random moments and its handler releases
one of the leases that are held, some of them twice. Every acquire has a time-out that only a lost task or lease can reach.
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

import trio

from adapters import FakeAdapter
from statemachine import Lease, ProviderConfig, ProviderManager, ProviderManagerConfig, RuntimeProviderConfig

__all__ = ["Done", "campaign", "main"]

LOST_SECONDS = 20.0
AGENTS = 8


@dataclass
class Done:
    """What a campaign has done: signals handled, leases released by their handlers, and calls of agents."""

    signals: int = 0
    released: int = 0
    calls: int = 0


class _Campaign:
    def __init__(self, seconds: float, seed: int) -> None:
        self.done = Done()
        self.held: dict[int, Lease] = {}
        self.end = time.monotonic() + seconds
        self.random = random.Random(seed)
        self.handlers = random.Random(seed + 1)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """As a signal handler: release one lease, wherever the program is."""
        self.done.signals += 1
        for lease in list(self.held.values()):
            if self.handlers.random() < 0.3:
                self.done.released += 1
                lease.release(broken=self.handlers.random() < 0.02)
                lease.release()

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
    """Run for ``seconds``, with ``rate`` signals a second. Raises AcquireTimeoutError where something was lost."""
    run = _Campaign(seconds, seed)
    config = ProviderManagerConfig(
        [
            ProviderConfig("local", FakeAdapter, is_local=True, parallel=2),
            ProviderConfig("one", FakeAdapter, limit=1, idle_timeout=0.01),
            ProviderConfig("two", FakeAdapter, limit=2),
        ],
        on_conflict="wait",
    )
    before = signal.signal(signal.SIGALRM, run.handle)
    signal.setitimer(signal.ITIMER_REAL, 1 / rate, 1 / rate)
    try:
        async with ProviderManager(config) as manager:
            with trio.fail_after(seconds + 2 * LOST_SECONDS):
                async with trio.open_nursery() as nursery:
                    for name in range(AGENTS):
                        nursery.start_soon(run.agent, manager, name)
            at_rest = manager.statistics()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for provider in at_rest.providers.values():
        if provider.active or provider.draining or provider.waiting or provider.assigned:
            raise AssertionError(f"something is left at rest: {provider}")
    return run.done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one campaign and print what it has done; 1 if something was lost."""
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
    print(f"nothing lost: {done.signals} signals, {done.released} leases released by handlers, {done.calls} calls")
    return 0


if __name__ == "__main__":
    sys.exit(main())
