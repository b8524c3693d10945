"""``kill -9`` of a client, of the backend or of the gateway at a seeded moment.

The next request works, no client hangs, and nothing stays loaded.

``python -m tests.gateway.kill --runs 200`` (``make gateway-kill``). Each run has a server and a gateway of its own, and six clients.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import trio

from .processes import MODELS, PATIENCE_SECONDS, ask, at_rest, gateway_command, instances, mock_command, process

__all__ = ["main", "one_run"]

VICTIMS: Final = ("client", "backend", "gateway")
CLIENTS: Final = 6


async def one_run(seed: int, folder: Path) -> tuple[str, Counter[str]]:
    """One run; returns who was killed and how the clients' requests ended. Raises AssertionError, TooSlowError."""
    chance, ends = random.Random(seed), Counter[str]()
    victim = VICTIMS[seed % len(VICTIMS)]
    async with AsyncExitStack() as stack, AsyncExitStack() as gateways:
        backend, server = await stack.enter_async_context(process(mock_command()))
        gateway, url = await gateways.enter_async_context(process(gateway_command(folder, server)))

        async def client(number: int) -> None:
            leaves = chance.randrange(4) if victim == "client" and number % 2 else None
            tokens = chance.choice((5, 50, 200))
            ends[await ask(url, chance.choice(MODELS), f"agent-{number}", tokens=tokens, leave_after=leaves)] += 1

        with trio.fail_after(PATIENCE_SECONDS):
            async with trio.open_nursery() as nursery:
                for number in range(CLIENTS):
                    nursery.start_soon(client, number)
                await trio.sleep(chance.uniform(0, 1.5))
                if victim != "client":
                    (backend if victim == "backend" else gateway).kill()
        assert ends.total() == CLIENTS
        if victim == "backend":
            port = int(server.rpartition(":")[2])
            _, server = await stack.enter_async_context(process(mock_command(port)))
        if victim == "gateway":
            _, url = await gateways.enter_async_context(process(gateway_command(folder, server)))
        with trio.fail_after(PATIENCE_SECONDS):
            for model in MODELS:
                ended = await ask(url, model, "next")
                assert ended == "answered", f"the next request for {model} is {ended}, after {ends}"
            await at_rest(url)
        await gateways.aclose()
        assert await instances(server) == [], "what any gateway had loaded is unloaded"
    return victim, ends


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; 1 if a run has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.kill", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the first run (default: 0)")
    options = parser.parse_args(arguments)
    totals: dict[str, Counter[str]] = {victim: Counter() for victim in VICTIMS}
    for seed in range(options.seed, options.seed + options.runs):
        with tempfile.TemporaryDirectory() as folder:
            try:
                victim, ends = trio.run(one_run, seed, Path(folder))
            except BaseException:
                print(f"seed {seed} has failed", file=sys.stderr)
                raise
        totals[victim] += ends
    for victim, ends in totals.items():
        print(f"{victim} killed: {', '.join(f'{how} {times}' for how, times in ends.most_common())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
