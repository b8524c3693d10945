"""A workload through the real manager, engine and adapter, in virtual time: one task per call, issued when what it comes after is done."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import trio

from adapters import LMStudioAdapter
from statemachine import (
    CallOptions,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ProviderManagerError,
    ReasoningEngine,
    RuntimeProviderConfig,
)
from statemachine.manager.engine import AnswerStream
from statemachine.manager.manager import Observer
from statemachine.policies import Fifo, PolicyFactory
from statemachine.schedules import seeded

from ..mock.lmstudio import MockLMStudio
from ..mock.lmstudio.fields import HUGE
from ..mock.transport import StreamingTransport
from ..timing.latency import LatencyProfile, ModelSpec
from ..workloads.workload import PlannedCall, Workload
from .record import CallRecord, Replay
from .requests import MockRequests, RequestStyle
from .residency import ResidencyRecorder

__all__ = ["CallIssuer", "Served", "mock_lm_studio", "replay", "replay_in_virtual_time"]

Served: TypeAlias = Callable[[], AbstractAsyncContextManager[ProviderManagerConfig]]
"""Opens the server that answers the calls, such as the mock, and yields a configuration whose first provider leads to it."""


@asynccontextmanager
async def mock_lm_studio(
    models: Sequence[ModelSpec], profile: LatencyProfile, *, parallel: int = 1, policy: PolicyFactory = Fifo
) -> AsyncGenerator[ProviderManagerConfig, None]:
    """Run the mock server in this process; yield a manager's configuration that lends it to ``parallel`` callers of one model at a time.

    Requests wait under ``policy``.
    """
    # the contexts hold every prompt of a workload
    specs = [replace(model, parallel=parallel, context_length=HUGE, max_context_length=HUGE) for model in models]
    server = MockLMStudio(specs, profile)
    async with StreamingTransport(server) as transport:
        adapter = partial(LMStudioAdapter, transport=transport)
        provider = ProviderConfig("mock LM Studio", adapter, is_local=True, parallel=parallel)
        yield ProviderManagerConfig([provider], on_conflict="wait", policy=policy)


def replay_in_virtual_time(
    workload: Workload,
    served: Served,
    *,
    seed: int | None,
    finished: Callable[[], None],
    observers: Sequence[Observer] = (),
) -> Replay:
    """Run :func:`replay` to its end on a clock that jumps over all waiting. The same arguments give the same records.

    ``seed`` decides in what order tasks run that are ready at the same moment; None: in the order in which they were made.
    """

    async def main() -> Replay:
        async with served() as config:
            return await replay(workload, config, finished=finished, observers=observers)

    from trio.testing import MockClock  # takes a third of a second where pytest is installed

    with seeded(seed):
        return trio.run(main, clock=MockClock(autojump_threshold=0))


async def replay(
    workload: Workload,
    config: ProviderManagerConfig,
    *,
    finished: Callable[[], None],
    observers: Sequence[Observer] = (),
    style: RequestStyle | None = None,
) -> Replay:
    """Make every call of ``workload`` on the first provider of ``config``. ``finished`` is called after each.

    ``observers`` are told of every transition of the manager, at trio's time. ``style`` makes requests of calls; by default those that the
    mock server reads.

    A call that fails is recorded as such and counts as finished, so those after it are made.
    """
    residency = ResidencyRecorder(trio.current_time())
    async with ProviderManager(config, observers=[residency, *observers]) as manager:
        answering = _Answering(workload, manager, style or MockRequests())
        issuer = CallIssuer(workload, answering.answer, finished)
        await issuer.run()
        statistics = manager.statistics()
    records = tuple(sorted(issuer.records, key=lambda record: record.call))
    makespan = max((record.finished for record in records), default=0.0)
    return Replay(records, residency.intervals(makespan), statistics)


class CallIssuer:
    """Issues each call of ``workload`` once all calls it comes after are over; ``answer`` makes it, ``finished`` is told of its end."""

    def __init__(
        self,
        workload: Workload,
        answer: Callable[[PlannedCall], Awaitable[CallRecord]],
        finished: Callable[[], None],
    ) -> None:
        self.answer = answer
        self.calls = workload.calls
        self.finished = finished
        self.records: list[CallRecord] = []
        self.unfinished = [len(call.after) for call in self.calls]  # how many of those it comes after
        self.followers: dict[int, list[PlannedCall]] = {}
        for call in self.calls:
            for earlier in call.after:
                self.followers.setdefault(earlier, []).append(call)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for call in self.calls:
                if not call.after:
                    nursery.start_soon(self._make, call, nursery)

    async def _make(self, call: PlannedCall, nursery: trio.Nursery) -> None:
        await trio.sleep(call.delay)
        self.records.append(await self.answer(call))
        self.finished()
        for follower in self.followers.get(call.id, ()):
            self.unfinished[follower.id] -= 1
            if self.unfinished[follower.id] == 0:
                nursery.start_soon(self._make, follower, nursery)


class _Answering:
    """Makes calls on the first provider of a manager."""

    def __init__(self, workload: Workload, manager: ProviderManager, style: RequestStyle) -> None:
        provider = manager.available_providers[0]
        self.origin = trio.current_time()
        self.engine = ReasoningEngine(manager)
        self.configs = {model: RuntimeProviderConfig(provider, model) for model in workload.models}
        self.style = style

    async def answer(self, call: PlannedCall) -> CallRecord:
        """Make ``call``, and record what came of it."""
        arrived = trio.current_time()
        queued = loading = 0.0
        first_token: float | None = None
        outcome = "ok"
        prompt = [{"role": "user", "content": self.style.prompt(call)}]
        try:
            async with self.engine.call(prompt, self._options(call)) as stream:
                queued, loading = stream.lease.queued_seconds, stream.lease.loading_seconds
                first_token = await _first_token(stream)
                async for _ in stream:
                    pass
        except ProviderManagerError as error:
            outcome = type(error).__name__
        return CallRecord.of(
            call,
            arrived=arrived - self.origin,
            queued=queued,
            loading=loading,
            ttft=None if first_token is None else first_token - arrived,
            total=trio.current_time() - arrived,
            outcome=outcome,
        )

    def _options(self, call: PlannedCall) -> CallOptions:
        return CallOptions(
            provider_config=self.configs[call.model], agent=call.agent, parameters=self.style.parameters(call)
        )


async def _first_token(stream: AnswerStream) -> float | None:
    """Return the time of the first token, reasoning included; None if there is none."""
    async for event in stream:
        if event.type in ("token", "reasoning", "tool_call"):
            return trio.current_time()
    return None
