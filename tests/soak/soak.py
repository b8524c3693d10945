"""``python -m tests.soak.soak --minutes 30 --seed 0``: agents against a mock LM Studio on a real socket, with everything going wrong.

Rounds of some seconds follow each other. In each a new manager serves agents that call, leave early, are cancelled, time out, and
close each other's streams, while the server drops connections, breaks streams, lies about content types, answers with wrong
statuses, and while someone else unloads its models. At the end of each round everything must be at rest: no lease, no
instance, no task, no socket and no loaded model is left, and the number of living objects does not grow.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import httpx
import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters import LMStudioAdapter
from simulation.mock.faults import STREAM_FAULTS
from simulation.mock.lmstudio import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.latency import ModelSpec
from statemachine import (
    AnswerStream,
    CallOptions,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ProviderManagerError,
    ReasoningEngine,
    RuntimeProviderConfig,
)

__all__ = ["Findings", "main", "soak"]

AGENTS = 6
MODELS = ("maker/a", "maker/b", "maker/c")
WRONG_STATUSES = (400, 404, 409, 418, 429, 500, 502, 503, 529)
PASSING_STATUSES = (429, 500, 502, 503)
LYING_LABELS = (b"text/html", b"application/json", b"text/event-stream", b"application/octet-stream", b"", b"\xff/\xff")
ROUND_SECONDS = 5.0
GROWTH = 1.02  # how much more objects may live after the last round than after the third


class LeftBehindError(AssertionError):
    """Something is left at rest."""


@dataclass
class Findings:
    """What a soak has done, and how its calls ended."""

    rounds: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    objects: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{name} {times}" for name, times in self.ended.most_common())
        return f"{self.rounds} rounds at rest; objects alive {self.objects[:1]} .. {self.objects[-1:]}; calls: {ends}"


class LyingLabels:
    """Gives some answers of ``app`` another content type."""

    def __init__(self, app: ASGIApp, chance: random.Random) -> None:
        self._app = app
        self._chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def lie(message: Message) -> None:
            if message["type"] == "http.response.start" and self._chance.random() < 0.1:
                headers = [(name, value) for name, value in message["headers"] if name.lower() != b"content-type"]
                label = self._chance.choice(LYING_LABELS)
                message = {**message, "headers": [*headers, (b"content-type", label)]}
            await send(message)

        await self._app(scope, receive, lie)


class Round:
    """One manager's life among faults."""

    def __init__(self, server: MockLMStudio, url: str, chance: random.Random, findings: Findings) -> None:
        self.server, self.url, self.chance, self.findings = server, url, chance, findings
        self.streams: list[AnswerStream] = []
        provider = ProviderConfig("lm", LMStudioAdapter, is_local=True, parallel=2, base_options={"base_url": url})
        config = ProviderManagerConfig(
            [provider], on_conflict="wait", acquire_timeout=20, start_timeout=20, shutdown_timeout=20, close_grace=5
        )
        self.manager = ProviderManager(config)
        self.engine = ReasoningEngine(self.manager)

    async def run(self, seconds: float) -> None:
        """Live for ``seconds``, and come to rest. Raises LeftBehindError."""
        async with self.manager:
            async with trio.open_nursery() as nursery:
                for name in range(AGENTS):
                    nursery.start_soon(self._agent, f"agent {name}", trio.current_time() + seconds)
                nursery.start_soon(self._faults, trio.current_time() + seconds)
            if self.chance.random() < 0.5:
                self._check_at_rest()
        if self.server.resident:
            raise LeftBehindError(f"a model is loaded after the close: {self.server.resident}")
        if any(provider.live for provider in self.manager.statistics().providers.values()):
            raise LeftBehindError(f"an instance is left: {self.manager.statistics()}")

    def _check_at_rest(self) -> None:
        for provider in self.manager.statistics().providers.values():
            if provider.active or provider.draining or provider.waiting or provider.assigned:
                raise LeftBehindError(f"a lease or a request is left: {provider}")

    async def _agent(self, name: str, end: float) -> None:
        while trio.current_time() < end:
            with trio.move_on_after(self.chance.choice([0.02, 0.2, 1, 30, 30, 30])) as scope:
                try:
                    how = await self._call(name)
                except (ProviderManagerError, trio.ClosedResourceError) as error:
                    how = type(error).__name__
            self.findings.ended["cancelled" if scope.cancelled_caught else how] += 1

    async def _call(self, name: str) -> str:
        model = RuntimeProviderConfig("lm", self.chance.choice(MODELS))
        timeout = self.chance.choice([None, None, 0.05, 5])
        options = CallOptions(model, agent=name, timeout=timeout, parameters={"max_tokens": 30})
        taken, most = 0, self.chance.choice([0, 1, 5, 1000, 1000, 1000])
        async with self.engine.call([{"role": "user", "content": "hello"}], options) as stream:
            self.streams.append(stream)
            try:
                async for event in stream:
                    taken += 1
                    if taken >= most:
                        return "left early"
                    if self.chance.random() < 0.01:
                        stream.lease.release()
                    del event
            finally:
                self.streams.remove(stream)
        return "ended"

    async def _faults(self, end: float) -> None:
        async with httpx.AsyncClient(base_url=self.url) as outside:
            while trio.current_time() < end:
                await trio.sleep(self.chance.uniform(0.01, 0.1))
                await self._fault(outside)
        self.server.faults.__init__()  # type: ignore[misc]  # orders that were not carried out are forgotten

    async def _fault(self, outside: httpx.AsyncClient) -> None:
        faults, chance = self.server.faults, self.chance
        match chance.randrange(7):
            case 0:
                faults.break_next_stream(chance.choice(STREAM_FAULTS[:4]), after_chunks=chance.randrange(4))  # type: ignore[arg-type]
            case 1:
                body: object = chance.choice([{"error": "nonsense"}, {"error": {"message": "x"}}, [], None, "text"])
                faults.answer_next("/v1/chat/completions", chance.choice(WRONG_STATUSES), body)
            case 2:
                path = chance.choice(["/api/v1/models", "/api/v1/models/load", "/api/v1/models/unload"])
                faults.answer_next(path, chance.choice(PASSING_STATUSES), {"error": "passing"})
            case 3:
                faults.fail_next_load()
            case 4 if self.server.loaded:
                instance = chance.choice(self.server.loaded)
                with suppress(httpx.HTTPError):  # it may meet a fault, too
                    await outside.post("/api/v1/models/unload", json={"instance_id": instance.id}, timeout=5)
            case 5 if self.streams:
                await chance.choice(self.streams).close()
            case 6 if self.streams:
                chance.choice(self.streams).lease.release(broken=True)


async def soak(seconds: float, seed: int = 0, round_seconds: float = ROUND_SECONDS) -> Findings:
    """Run rounds for ``seconds``. Raises LeftBehindError."""
    logging.getLogger("hypercorn.error").setLevel(logging.CRITICAL)  # it complains of clients that leave
    chance = random.Random(seed)
    findings = Findings()
    end = time.monotonic() + seconds
    while time.monotonic() < end or findings.rounds < 2:
        model = ModelSpec("any", load_seconds=0.05, unload_seconds=0.02, prefill_tokens_per_second=1e6)
        quick = [replace(model, key=name, decode_tokens_per_second=1000) for name in MODELS]
        server = MockLMStudio(quick)
        tasks, sockets = _tasks(), _sockets()
        async with serve(LyingLabels(server, chance), port=0) as url:
            await Round(server, url, chance, findings).run(round_seconds)
        await trio.sleep(0.05)
        if _tasks() > tasks:
            raise LeftBehindError(f"{_tasks() - tasks} tasks are left")
        gc.collect()
        if _sockets() > sockets:
            raise LeftBehindError(f"{_sockets() - sockets} sockets or files are left")
        del server
        gc.collect()
        findings.rounds += 1
        findings.objects.append(len(gc.get_objects()))
    settled = findings.objects[2:]
    if len(settled) > 3 and settled[-1] > GROWTH * settled[0]:
        raise LeftBehindError(f"memory grows: {settled[0]} objects after three rounds, {settled[-1]} in the end")
    return findings


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def _sockets() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one soak and print what it has done; 1 if something was left behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all choices (default %(default)s)")
    options = parser.parse_args(arguments)
    try:
        findings = trio.run(soak, 60 * options.minutes, options.seed)
    except LeftBehindError as error:
        print(f"seed {options.seed}: {error}", file=sys.stderr)
        return 1
    print(f"seed {options.seed}: {findings}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
