"""Fifty agents through the gateway while everything goes wrong, for as long as asked: counters add up, and memory does not grow.

``python -m tests.gateway.soak --minutes 10 --seed 0`` (``make gateway-soak``). The gateway is a process of its own; the mock server is in
this one, so that faults can be ordered: wrong answers, broken streams, failing loads, unloads from outside.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from simulation.mock.faults import STREAM_FAULTS
from simulation.mock.lmstudio.server import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine.journal.verify import verify

from .processes import CHAT, MODELS, PATIENCE_SECONDS, ask, at_rest, gateway_command, process

__all__ = ["Findings", "main", "soak"]

AGENTS: Final = 50
GROWTH: Final = 1.10
"""How much more memory the gateway may have at the end than after the first third."""


@dataclass
class Findings:
    """How the agents' requests ended, what the gateway counted, and its memory over time, in KiB."""

    ended: Counter[str] = field(default_factory=Counter)
    counters: dict[str, int] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)
    changes: int = 0

    def __str__(self) -> str:
        ends = ", ".join(f"{how} {times}" for how, times in self.ended.most_common())
        return f"{ends}; {self.changes} changes conform; memory {self.memory[:1]} .. {self.memory[-1:]} KiB; {self.counters}"


async def soak(seconds: float, seed: int, folder: Path) -> Findings:
    """Run for ``seconds``. Raises AssertionError where something does not add up."""
    chance, findings, log = random.Random(seed), Findings(), folder / "journal.jsonl"
    models = [ModelSpec(name, load_seconds=0.05, unload_seconds=0.02, prefill_tokens_per_second=1e5) for name in MODELS]
    server = MockLMStudio(models, LatencyProfile(jitter=0), jit=False)
    async with serve(server, port=0) as base_url, AsyncExitStack() as gateways:
        gateway, url = await gateways.enter_async_context(process(gateway_command(folder, base_url, log)))
        end = trio.current_time() + seconds

        async def agent(number: int) -> None:
            while trio.current_time() < end:
                leaves = chance.choice((None, None, None, 0, 1, 3))
                tokens, model = chance.choice((1, 10, 60)), chance.choice((*MODELS, "no-such-model"))
                findings.ended[await ask(url, model, f"agent-{number}", tokens=tokens, leave_after=leaves)] += 1

        async with trio.open_nursery() as nursery:
            for number in range(AGENTS):
                nursery.start_soon(agent, number)
            while trio.current_time() < end:
                await trio.sleep(chance.uniform(0.02, 0.2))
                await _fault(server, chance)
                findings.memory.append(_resident_kib(gateway.pid))
        server.faults.__init__()  # type: ignore[misc]  # orders that were not carried out are forgotten
        with trio.fail_after(PATIENCE_SECONDS):
            picture = await at_rest(url)
        findings.counters = {name: value for name, value in picture["counters"].items() if value}
        await gateways.aclose()
        if _has_given_up(log):  # an unload that took too long is noted, and the next run repeats it
            await gateways.enter_async_context(process(gateway_command(folder, base_url)))
            await gateways.aclose()
        assert not server.resident, "the gateway has unloaded what it loaded"
    _check(findings, log)
    return findings


async def _fault(server: MockLMStudio, chance: random.Random) -> None:
    match chance.randrange(4):
        case 0:
            server.faults.break_next_stream(chance.choice(STREAM_FAULTS[:4]), after_chunks=chance.randrange(4))  # type: ignore[arg-type]
        case 1:
            server.faults.answer_next(CHAT, chance.choice((400, 429, 500, 503)), {"error": {"message": "ordered"}})
        case 2:
            server.faults.fail_next_load("ordered")
        case 3 if server.loaded:
            await server.unload(server.loaded[0])


def _rows(log: Path) -> list[Any]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()[1:]]


def _has_given_up(log: Path) -> bool:
    """Whether a shutdown was overdue, or failed."""
    rows = _rows(log)
    overdue = any(effect["is"] == "AbandonStop" for row in rows for effect in row["effects"])
    return overdue or any(row["event"]["is"] == "Stopped" and row["event"]["failed"] for row in rows)


def _check(findings: Findings, log: Path) -> None:
    verdict = verify([log])
    assert verdict.conforms, verdict.problem
    findings.changes = verdict.changes
    rows = _rows(log)
    asked = sum(row["event"]["is"] == "AcquireRequested" for row in rows)
    effects = Counter(effect["is"] for row in rows for effect in row["effects"])
    counters = findings.counters
    assert effects["Grant"] == counters.get("grants", 0)
    assert asked == effects["Grant"] + effects["Reject"] + counters.get("cancellations", 0), "each request has one end"
    assert effects["StartInstance"] == effects["StopInstance"], "each instance is stopped once"
    third = findings.memory[len(findings.memory) // 3]
    assert findings.memory[-1] <= GROWTH * third, f"memory grows: {third} to {findings.memory[-1]} KiB"


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one soak and print what it has found."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of all choices (default: 0)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print(trio.run(soak, 60 * options.minutes, options.seed, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
