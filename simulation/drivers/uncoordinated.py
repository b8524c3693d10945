"""What happens without coordination: every agent calls the server itself, which loads a model just in time and evicts the one before.

That is how LM Studio does it by default: the eviction cuts the answers that the old model is making, and a load that does not fit into
memory fails. The machine's memory holds the largest model, so one model at a time. An agent whose answer was cut or refused asks again,
up to ``ATTEMPTS`` times, after a pause that doubles up to ``MOST_PAUSE_SECONDS``. The mock server has these manners; nothing of the
manager takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, NamedTuple

import trio

from adapters import OpenAIAdapter
from statemachine import AdapterConfig, CallOptions, ProviderManagerError, RuntimeProviderConfig
from statemachine.schedules import seeded

from ..mock.lmstudio import MockLMStudio
from ..mock.transport import StreamingTransport
from ..timing.latency import LatencyProfile, ModelSpec
from ..workloads.workload import PlannedCall, Workload
from .manager import CallIssuer
from .record import CallRecord
from .requests import MockRequests

__all__ = ["ATTEMPTS", "Uncoordinated", "run_uncoordinated"]

ATTEMPTS: Final = 20
FIRST_PAUSE_SECONDS: Final = 0.5
MOST_PAUSE_SECONDS: Final = 8.0


class Uncoordinated(NamedTuple):
    """What came of it. ``loads``: how often a model was loaded; ``cut``: answers that an eviction cut."""

    records: Sequence[CallRecord]
    loads: int
    cut: int


def run_uncoordinated(
    workload: Workload,
    models: Sequence[ModelSpec],
    profile: LatencyProfile,
    *,
    seed: int,
    finished: Callable[[], None] = lambda: None,
) -> Uncoordinated:
    """Run ``workload`` in virtual time. The same arguments give the same records. A call that is never answered is recorded as failed."""

    async def main() -> Uncoordinated:
        used = [model for model in models if model.key in workload.models]
        server = MockLMStudio(models, profile, memory_bytes=max(model.size_bytes for model in used))
        async with StreamingTransport(server) as transport:
            asking = _Asking(workload, transport)
            issuer = CallIssuer(workload, asking.answer, finished)
            await issuer.run()
            records = sorted(issuer.records, key=lambda record: record.call)
            for adapter in asking.adapters.values():
                await adapter.shutdown()
            return Uncoordinated(records, server.counters.loads, server.counters.cut)

    from trio.testing import MockClock  # see drivers.manager

    with seeded(seed):
        return trio.run(main, clock=MockClock(autojump_threshold=0))


class _Asking:
    """Calls that are made again until they succeed."""

    def __init__(self, workload: Workload, transport: StreamingTransport) -> None:
        make = partial(OpenAIAdapter, transport=transport)
        options = {"base_url": "http://127.0.0.1:1234/v1", "api_token": None}
        self.adapters = {model: make(AdapterConfig("server", model, options)) for model in workload.models}
        self.style = MockRequests()
        self.origin = trio.current_time()

    async def answer(self, call: PlannedCall) -> CallRecord:
        """Ask until the answer is whole."""
        arrived, pause, outcome = trio.current_time(), FIRST_PAUSE_SECONDS, ""
        for _ in range(ATTEMPTS):
            outcome = await self._attempt(call)
            if outcome == "ok":
                break
            await trio.sleep(pause)
            pause = min(2 * pause, MOST_PAUSE_SECONDS)
        total = trio.current_time() - arrived
        return CallRecord.of(call, arrived=arrived - self.origin, total=total, outcome=outcome)

    async def _attempt(self, call: PlannedCall) -> str:
        options = CallOptions(
            RuntimeProviderConfig("server", call.model), agent=call.agent, parameters=self.style.parameters(call)
        )
        prompt = [{"role": "user", "content": self.style.prompt(call)}]
        try:
            async with aclosing(self.adapters[call.model].call(prompt, options)) as events:
                async for event in events:
                    if event.type == "error":
                        return type(event.data).__name__
        except ProviderManagerError as error:
            return type(error).__name__
        return "ok"
