"""Wrong managers, one mistake of concurrency each: the schedules must catch every one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import trio

from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.config.providers import ProviderManagerConfig
from statemachine.core.events import AbandonStop, Cancelled, Event, FoundBroken, Released, Stopped
from statemachine.manager.engine import AnswerStream, EngineCall, ReasoningEngine
from statemachine.manager.lease import Lease
from statemachine.manager.manager import ProviderManager
from statemachine.manager.stepper import Stepper
from statemachine.manager.worker import Worker


class UnshieldedShutdown(ProviderManager):
    """An outer cancellation reaches the instances, past the coordinator."""

    async def _run(self, instance: int, worker: Worker) -> None:
        worker._life.shield = worker._stopping.shield = False
        await super()._run(instance, worker)


class LostWakeUp(ProviderManager):
    """Looks at its answer, gives way, and only then begins to wait for it: what comes in between wakes no task."""

    async def _park(self, ticket: int) -> None:
        asker = self._askers[ticket]
        task, asker.task = asker.task, None
        await trio.lowlevel.cancel_shielded_checkpoint()
        asker.task = task
        await super()._park(ticket)


class LeakedSlot(ProviderManager):
    """A task that is cancelled between its grant and its delivery keeps the lease that it never saw."""

    async def _park(self, ticket: int) -> None:
        asker = self._askers[ticket]
        await super()._park(ticket)
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            self.__dict__.setdefault("_limbo", []).append(asker.answer)  # where no finaliser finds it
            raise


class LateRelease(ProviderManager):
    """Tells the coordinator of a release by a task of its own, so that it comes after what happens next."""

    def __init__(self, config: ProviderManagerConfig, **options: Any) -> None:
        super().__init__(config, **options)
        self._lessor._report = self._report

    def _report(self, event: Released | FoundBroken) -> None:
        if isinstance(event, Released) and not self._closed.is_set():
            self._nursery.start_soon(self._later, event)
        else:
            self._stepper.dispatch(event)

    async def _later(self, event: Event) -> None:
        self._stepper.dispatch(event)


class _NoCancel(Stepper):
    def settle(self, event: Event) -> None:
        if not isinstance(event, Cancelled):
            super().settle(event)


class ForgottenCancel(ProviderManager):
    """Cancelled in the queue, it does not say so."""

    _stepper_type = _NoCancel


class HangsWithItsShutdown(ProviderManager):
    """Does not cancel a shutdown that the coordinator has abandoned."""

    def _effects(self) -> Mapping[type, Callable[[Any], None]]:
        return {**super()._effects(), AbandonStop: lambda effect: None}


class _Revival(Stepper):
    def settle(self, event: Event) -> None:
        if not isinstance(event, Stopped) or not self._is_wanted(event.instance):
            super().settle(event)

    def _is_wanted(self, number: int) -> bool:
        instance = self.coordinator.instances.get(number)
        if instance is None or instance.successor is None:
            return False
        waiting = self.coordinator.pools[instance.demand.pool].waiting.values()
        return any(request.signature == instance.demand.signature for request in waiting)


class EvictionTargetRevived(ProviderManager):
    """An instance that is down is taken for still wanted if a task has asked for it in the meantime."""

    _stepper_type = _Revival


class _Answer(AnswerStream):
    begun = False

    async def __anext__(self) -> StreamEvent:
        self.begun = True
        return await super().__anext__()


class _OnlyIfBegun(EngineCall):
    def _open(self, lease: Lease) -> AnswerStream:
        stream = super()._open(lease)
        stream.__class__ = _Answer
        self._engine._manager.__dict__.setdefault("_answers", []).append(stream)  # where no finaliser finds it
        return stream

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert isinstance(self._stream, _Answer)
        if self._stream.begun:
            await super().__aexit__(kind, error, trace)


class FreedByItsStream(ReasoningEngine):
    """Frees a lease at the end of its stream only, so never if that is not begun."""

    def call(self, prompt: Sequence[Message], options: CallOptions) -> EngineCall:
        return _OnlyIfBegun(self, prompt, options)
