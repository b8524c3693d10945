"""The heap driver: the manager's model, run from a heap of events in virtual time, because comparing policies takes thousands of runs.

No trio, no HTTP: the model says what to do, a :class:`Timing` says how long it takes, and the end of it is put on the heap, which
:mod:`.agenda` keeps. :mod:`.plan` is what all runs of a workload share, :mod:`.heap_run` is one of them. An adapter's own time-outs are not
there: an answer of any length succeeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from statemachine import AdapterConfig, ProviderConfig, ProviderManagerConfig
from statemachine.core.coordinator import Coordinator
from statemachine.manager.manager import Core, Observer
from statemachine.policies import Fifo, PolicyFactory

from ..timing.durations import Timing
from ..timing.faults import FaultPlan
from ..workloads.workload import Workload
from .heap_run import HeapRun
from .plan import ReplayPlan
from .record import Replay
from .routing import Routing

__all__ = ["HeapDriver", "no_adapter", "one_slot"]


def one_slot(policy: PolicyFactory = Fifo, *, parallel: int = 1) -> ProviderManagerConfig:
    """Return the configuration of one local server, where requests wait under ``policy``. Its adapter is not there to be called."""
    return ProviderManagerConfig(
        [ProviderConfig("local server", no_adapter, is_local=True, parallel=parallel)],
        on_conflict="wait",
        policy=policy,
    )


def no_adapter(config: AdapterConfig) -> NoReturn:
    raise NotImplementedError("the heap driver makes no adapters")


class HeapDriver:
    """Runs ``workload`` any number of times, each call as long as ``timing`` says. Raises ConfigurationError.

    What does not depend on the policy is worked out once, for all runs.
    """

    def __init__(self, workload: Workload, timing: Timing, *, faults: FaultPlan | None = None) -> None:
        self.plan: Final = ReplayPlan(workload, timing, faults)

    def replay(
        self,
        config: ProviderManagerConfig,
        *,
        observers: Sequence[Observer] = (),
        core: Core = Coordinator,
        routing: Routing | None = None,
    ) -> Replay:
        """Make every call on the first provider of ``config``, or where ``routing`` says. Adapters are not used.

        A call that is refused is recorded as such, and those after it are made. A start or a
        shutdown that the model gives up on is over at that moment. Raises RuntimeError where calls are left and nothing can happen
        any more: then the policy is at fault. With ``check_invariants`` raises InvariantError. ``core`` makes the coordinator.
        """
        run = self.begin(config, observers=observers, core=core, routing=routing)
        run.run()
        return run.result()

    def begin(
        self,
        config: ProviderManagerConfig,
        *,
        observers: Sequence[Observer] = (),
        core: Core = Coordinator,
        routing: Routing | None = None,
    ) -> HeapRun:
        """Begin what :meth:`replay` does to the end, for a run that is looked at on its way, by ``step()`` and ``run(until=)``."""
        if routing is None:
            routing = Routing.on_one(config, len(self.plan.calls))
        return HeapRun(self.plan, config, observers, core, routing)
