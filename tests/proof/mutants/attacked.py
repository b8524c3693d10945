"""Wrong managers for the faults that attacks have found: what interrupts, raises or lies gets the better of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from types import FrameType
from typing import Any

import trio

from statemachine.config.call import CallOptions, Message
from statemachine.config.providers import Demand, ProviderManagerConfig
from statemachine.core.events import AcquireRequested, Event, FoundBroken, Released, StartInstance
from statemachine.manager.engine import AnswerStream, EngineCall, ReasoningEngine
from statemachine.manager.lease import Lease, Lessor
from statemachine.manager.manager import ProviderManager, _Asker
from statemachine.manager.reading import Reading
from statemachine.manager.stepper import Stepper
from statemachine.manager.worker import Worker


class _GivesBackFirst(Reading):
    async def close(self) -> None:
        self._lessor.revoke(self._ticket)
        self._lessor._report(Released(self._ticket))
        await super().close()


class _FreedFirst(EngineCall):
    def _open(self, lease: Lease) -> AnswerStream:
        stream = super()._open(lease)
        stream._reading.__class__ = _GivesBackFirst
        return stream


class FreedBeforeItsEnd(ReasoningEngine):
    """Gives the lease back when a stream is asked to close, not when it has ended."""

    def call(self, prompt: Sequence[Message], options: CallOptions) -> EngineCall:
        return _FreedFirst(self, prompt, options)


class _Hasty(Lessor):
    def _note(self, event: Released | FoundBroken, caller: FrameType | None) -> None:
        super()._note(event, None)


class StepsInAHandler(ProviderManager):
    """Takes a release in a signal handler for one of a task at work."""

    def __init__(self, config: ProviderManagerConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self._lessor = _Hasty(self._stepper.dispatch, self._run_use)


class KeepsTheLeaseOfAnError(ProviderManager):
    """An error of an observer leaves together with the lease that was being granted."""

    def _ask(self, task: trio.lowlevel.Task, ticket: int, demand: Demand, *options: Any) -> Any:
        timeout, agent, priority = options
        asker = self._askers[ticket] = _Asker()
        self._stepper.dispatch(AcquireRequested(ticket, demand, task, agent, priority, timeout))
        return asker


class _TakesItForItsOwn(Worker):
    async def _await_method(self, name: str) -> None:
        method = getattr(self.adapter, name, None)
        if method is not None:
            await method()

    def _fail(self, error: BaseException, *, constructed: bool) -> None:
        if isinstance(error, trio.Cancelled):
            raise error
        super()._fail(error, constructed=constructed)


class TakesACancellationForItsOwn(ProviderManager):
    """Lets a cancellation that an adapter has stored leave as it came."""

    def _start(self, effect: StartInstance) -> None:
        factory = self.config.provider(effect.demand.provider).adapter
        worker = _TakesItForItsOwn(effect.instance, effect.demand, factory, self._stepper.dispatch)
        self._workers[effect.instance] = worker
        self._nursery.start_soon(self._run, effect.instance, worker)


class _Parentless(Stepper):
    def settle(self, event: Event) -> None:
        if isinstance(event, AcquireRequested):
            event.held_above = ()  # type: ignore[misc]  # frozen for the type checker
        super().settle(event)


class KnowsNoParents(ProviderManager):
    """Does not say whose leases are above a request."""

    _stepper_type = _Parentless
