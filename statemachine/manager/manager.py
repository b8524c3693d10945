"""The trio driver of the coordinator: it tells the coordinator what happens, and carries out what the coordinator answers.

Nothing is decided here. Whatever happens becomes an event: a task asks for a lease, a lease is released, an adapter has started, a
deadline has come. The :class:`Stepper` gives the event to ``Coordinator.step`` and has the effects carried out that it returns, in
order. ``step`` is synchronous, so trio cannot run another task inside it, and it needs no lock. An effect that takes time (a start, a
shutdown) runs as a :class:`Worker` in the manager's nursery, and its end is another event. The manager is off the data path: a stream
flows between agent and adapter directly.

Example: a task calls ``get_adapter``. The event ``AcquireRequested`` returns ``StartInstance``, so a worker begins, and the task parks.
When ``adapter.start()`` has returned, the worker reports ``StartSucceeded``. That returns ``Grant``, and the task wakes with its lease.

A release in a signal handler, a finaliser or another thread waits for a safe moment, see :class:`Lessor`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import trio
from trio.lowlevel import enable_ki_protection

from ..checks import check_request, shown
from ..config.providers import Demand, ProviderManagerConfig
from ..config.runtime import RuntimeProviderConfig
from ..core.coordinator import Coordinator, Watch
from ..core.events import (
    AbandonStop,
    AcquireRequested,
    Cancelled,
    Closed,
    CloseRequested,
    Event,
    Grant,
    InterruptStart,
    Opened,
    Reject,
    Revoke,
    StartInstance,
    StopInstance,
    Transition,
)
from ..errors import ConfigurationError, ManagerClosedError
from .acquiring import Acquiring
from .at_work import check_room, is_task_at_work
from .hints import AsyncOnly
from .kin import leases_above
from .lease import Lease, Lessor, Use
from .observing import Observer, Observers
from .outstanding import Outstanding
from .refusal import refusal
from .running import check_trio
from .stepper import Stepper
from .worker import Worker

if TYPE_CHECKING:
    from typing import Self

    from ..core.statistics import Statistics

__all__ = ["Core", "Observer", "ProviderManager"]

_DEMANDS_LIMIT = 1024


class Core(Protocol):
    """The way to make a manager's coordinator: the class :class:`Coordinator`, a subclass, or a function around it."""

    def __call__(self, config: ProviderManagerConfig, *, record: bool, watch: Watch | None) -> Coordinator: ...


class _Asker:
    """One call of ``get_adapter`` that has not been answered. ``task`` waits for the answer, where it does not come at once."""

    answer: Lease | Exception | None = None
    task: trio.lowlevel.Task | None = None


class ProviderManager(AsyncOnly):
    """Coordinates adapters, as docs/contract.md says. Entered once, in one trio run, and used from that run's thread.

    ``observers`` are called with every transition. ``core`` makes the coordinator, such as one that tests watch. Raises
    ConfigurationError.
    """

    _how = "async with ProviderManager(config) as manager"
    _stepper_type: ClassVar[type[Stepper]] = Stepper  # the proof has managers whose stepper makes a mistake

    def __init__(
        self, config: ProviderManagerConfig, *, observers: Sequence[Observer] = (), core: Core = Coordinator
    ) -> None:
        if not isinstance(config, ProviderManagerConfig):
            raise ConfigurationError("config", "must be a ProviderManagerConfig", shown(config))
        self.config = config
        self._observers = Observers(observers, self._interrupt)
        self._coordinator = core(config, record=bool(self._observers.observers), watch=self._watch_of(config))
        self._stepper = self._stepper_type(self._coordinator, self._effects())
        self._tickets = count(1)
        self._demands: dict[Hashable, Demand] = {}  # by the spelling of what was asked for
        self._askers: dict[int, _Asker] = {}  # by ticket
        self._lessor = Lessor(self._stepper.dispatch, self._run_use)
        self._workers: dict[int, Worker] = {}  # by instance
        self._closed = trio.Event()

    def _effects(self) -> Mapping[type, Callable[[Any], None]]:
        """Return what carries out each type of effect."""
        return {
            Grant: self._grant,
            Reject: self._reject,
            Revoke: lambda effect: self._lessor.revoke(effect.ticket),
            StartInstance: self._start,
            InterruptStart: lambda effect: self._workers[effect.instance].interrupt_start(),
            StopInstance: lambda effect: self._workers[effect.instance].stop(),
            AbandonStop: lambda effect: self._workers[effect.instance].abandon_stop(),
            Closed: self._finish,
            Transition: self._observers.tell,
        }

    def _watch_of(self, config: ProviderManagerConfig) -> Watch | None:
        if not config.check_invariants:
            return None
        from ..properties.invariants import watch_invariants  # loaded only when asked for

        return watch_invariants(self._interrupt)

    def _interrupt(self, error: BaseException) -> None:
        self._stepper.interrupt(error)

    # ---- what users call ----

    @property
    def available_providers(self) -> tuple[str, ...]:
        """The providers' names, in the order of the configuration."""
        return tuple(provider.name for provider in self.config.available_providers)

    def statistics(self) -> Statistics:
        """Take a frozen picture: instances and queues per provider and slot, counters, use per model."""
        from ..core.statistics import statistics  # loaded only when asked for

        self._lessor.catch_up(sys._getframe(1))
        return statistics(self._coordinator)

    def outstanding(self) -> Outstanding:
        """Take what is under way now, for tests and checkers that compare it with the coordinator."""
        tasks = {number: worker.task() for number, worker in self._workers.items()}
        return Outstanding(frozenset(self._askers), self._lessor.streams(), tasks)

    @enable_ki_protection
    async def get_adapter(
        self,
        runtime_config: RuntimeProviderConfig,
        timeout: float | None = None,
        agent: str | None = None,
        priority: int = 0,
    ) -> Lease:
        """Wait for a lease of an instance of ``runtime_config``. A cancellation in here leaves no trace.

        ``timeout`` bounds the time to the grant, loading included, in seconds (None: the configured ``acquire_timeout``; infinity:
        unbounded). ``agent`` names the caller to policies; ``priority``, higher first, concerns local slots only. The
        calling task owns the lease. Raises ManagerClosedError, UnknownProviderError, ConfigurationError, ProviderLimitError,
        LocalProviderConflictError, LocalInstanceBusyError, QueueFullError, AcquireTimeoutError, AdapterInstantiationError.
        """
        task = check_trio()
        demand = self._demand(runtime_config, timeout, agent, priority)
        check_room(task)
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._lessor.notes:
            self._lessor.catch_up()  # this task may hold what a signal handler has just released
        ticket = next(self._tickets)
        asker = self._ask(task, ticket, demand, timeout, agent, priority)
        if isinstance(asker.answer, Lease):
            await trio.lowlevel.cancel_shielded_checkpoint()
            return asker.answer
        if asker.answer is None:
            asker.task = task
            await self._park(ticket)
        try:
            return _opened(asker.answer)
        finally:
            del asker  # no cycle of exception and frame

    @enable_ki_protection
    def acquire_nowait(
        self, runtime_config: RuntimeProviderConfig, agent: str | None = None, priority: int = 0
    ) -> Lease:
        """Return a lease of an instance of ``runtime_config`` that is ready now, without waiting.

        Raises trio.WouldBlock, and changes nothing, if there is none: it would have to be started, or other tasks hold it or wait for
        it. In a signal handler or a finaliser it always does. Otherwise as :meth:`get_adapter`.
        """
        task = check_trio()
        demand = self._demand(runtime_config, None, agent, priority)
        caller = sys._getframe(1)
        if not is_task_at_work(trio.lowlevel.current_trio_token(), caller):
            raise trio.WouldBlock
        self._lessor.catch_up(caller)
        self._stepper.expire()
        if not (self._coordinator.state != "open" or self._coordinator.is_ready(demand)):
            raise trio.WouldBlock
        asker = self._ask(task, next(self._tickets), demand, None, agent, priority)
        try:
            return _opened(asker.answer)
        finally:
            del asker

    def acquire(
        self,
        runtime_config: RuntimeProviderConfig,
        timeout: float | None = None,
        agent: str | None = None,
        priority: int = 0,
    ) -> Acquiring:
        """Acquire for a block: ``async with manager.acquire(...) as lease``. As :meth:`get_adapter`; leaving the block releases."""
        return Acquiring(self.get_adapter, runtime_config, timeout, agent, priority)

    # ---- life ----

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        check_trio()
        if self._coordinator.state != "new":
            raise ManagerClosedError("a manager is entered only once")
        self._stepper.enter_run()
        self._stepper.dispatch(Opened())
        self._nursery_context = trio.open_nursery()
        self._nursery = await self._nursery_context.__aenter__()
        self._nursery.start_soon(self._stepper.watch_deadlines, self._step_here)
        return self

    @enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The nursery is not told of the body's exception, which therefore leaves bare. Its children are shielded, so
        # that an outer cancellation reaches them only through the coordinator, which bounds every one of them.
        if self._coordinator.state == "new":
            raise ManagerClosedError("the manager has not been entered")
        try:
            if error is None:
                await self._close_with_grace()
            else:
                await self._close_now()
        finally:  # also after another Ctrl-C: the deadlines still bound what is under way
            await self._nursery_context.__aexit__(None, None, None)
        self._stepper.raise_interruption()

    async def _close_with_grace(self) -> None:
        try:
            self._stepper.dispatch(CloseRequested())
            await self._closed.wait()
        except BaseException:
            await self._close_now()
            raise

    async def _close_now(self) -> None:
        with trio.CancelScope(shield=True):
            try:
                self._stepper.settle(CloseRequested(grace=False))
            except BaseException:  # a bug of ours: fail, rather than hang
                self._stepper.end_watch()
                raise
            await self._closed.wait()

    def _step_here(self, event: Event) -> None:
        """Step for a task of the manager. What an observer raises leaves in another task, as this one has work left to do."""
        self._stepper.settle(event)
        self._stepper.raise_interruption_in(self._nursery)

    async def _run(self, instance: int, worker: Worker) -> None:
        try:
            await worker.run()
        finally:
            del self._workers[instance]

    def _run_use(self, use: Use) -> None:
        self._nursery.start_soon(use.run, name="the reading of a stream")

    # ---- acquiring ----

    def _demand(
        self, runtime_config: RuntimeProviderConfig, timeout: float | None, agent: str | None, priority: int
    ) -> Demand:
        """Check the arguments of a call, and return what it needs."""
        check_request(timeout, agent, priority)
        if self._coordinator.ledger.state == "new":
            raise ManagerClosedError("the manager has not been entered")
        if isinstance(runtime_config, RuntimeProviderConfig):
            known = self._demands.get(runtime_config.spelling)
            if known is not None:
                return known
        return self._resolve(runtime_config)

    def _ask(
        self,
        task: trio.lowlevel.Task,
        ticket: int,
        demand: Demand,
        timeout: float | None,
        agent: str | None,
        priority: int,
    ) -> _Asker:
        """Request a lease for ``task``, the one that runs. If an observer's error is raised, the request is withdrawn first."""
        seconds = self.config.acquire_timeout if timeout is None else None if timeout == math.inf else timeout
        asker = self._askers[ticket] = _Asker()
        try:
            # the leases whose holders wait for this task to end: to wait for them would never end
            above = leases_above(task, demand, self._coordinator, self._lessor) if self._lessor.held else ()
            self._stepper.dispatch(AcquireRequested(ticket, demand, task, agent, priority, seconds, above))
        except BaseException:
            self._askers.pop(ticket, None)
            self._lessor.revoke(ticket)
            asker.answer = None  # no frame of the error keeps the lease
            self._stepper.settle(Cancelled(ticket))
            raise
        return asker

    # ---- waiting for the answer, and what carries out effects ----

    async def _park(self, ticket: int) -> None:
        """Wait for the answer. It does not come through trio, which would keep the lease alive until the task waits again."""

        def abort(_: object) -> trio.lowlevel.Abort:
            del self._askers[ticket]
            # nothing may be raised in here, so an error waits for the next step
            self._stepper.settle(Cancelled(ticket))
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _grant(self, effect: Grant) -> None:
        asker = self._askers.pop(effect.ticket, None)
        if asker is None:
            return  # cancelled by an effect of the same step; the event that says so is in the inbox
        worker = self._workers[effect.instance]
        assert worker.adapter is not None, "only a started instance is granted"
        asker.answer = self._lessor.lend(effect.ticket, worker.demand, worker.adapter, effect.queued, effect.loading)
        if asker.task is not None:
            trio.lowlevel.reschedule(asker.task)

    def _reject(self, effect: Reject) -> None:
        asker = self._askers.pop(effect.ticket, None)
        if asker is not None:
            worker = None if effect.instance is None else self._workers[effect.instance]
            asker.answer = refusal(effect, None if worker is None else worker.error)
            if asker.task is not None:
                trio.lowlevel.reschedule(asker.task)

    def _start(self, effect: StartInstance) -> None:
        provider = self.config.provider(effect.demand.provider)
        worker = Worker(effect.instance, effect.demand, provider.adapter, self._step_here)
        self._workers[effect.instance] = worker
        self._nursery.start_soon(self._run, effect.instance, worker, name=f"adapter of {effect.demand}")

    def _finish(self, _: Closed) -> None:
        self._stepper.end_watch()
        self._closed.set()

    def _resolve(self, runtime_config: RuntimeProviderConfig) -> Demand:
        """Resolve by spelling: equal configurations may spell an option differently, and the adapter gets it as written."""
        demand = self.config.resolve(runtime_config)
        if len(self._demands) >= _DEMANDS_LIMIT:
            self._demands.clear()
        self._demands[runtime_config.spelling] = demand
        return demand


def _opened(answer: Lease | Exception | None) -> Lease:
    """Return the lease, or raise the refusal, without a cycle of exception and frame."""
    assert answer is not None, "a task is woken when it has been answered"
    if isinstance(answer, Lease):
        return answer
    try:
        raise answer
    finally:
        del answer
