"""Small wrong managers, one mistake of concurrency each: the schedules must catch every one."""

from __future__ import annotations

import trio

from statemachine import Lease, ProviderManager
from statemachine.events import Cancelled, Event, Released
from statemachine.worker import Worker


class UnshieldedShutdown(ProviderManager):
    """An outer cancellation reaches the instances, past the model."""

    async def _run(self, instance: int, worker: Worker) -> None:
        try:
            await worker.run()
        finally:
            del self._workers[instance]


class LostWakeUp(ProviderManager):
    """Looks at its answer, gives way, and only then begins to wait for it: what comes in between wakes nobody."""

    async def _park(self, ticket: int) -> Lease | Exception:
        asker = self._askers[ticket]
        task, asker.task = asker.task, None
        await trio.lowlevel.cancel_shielded_checkpoint()
        asker.task = task
        return await super()._park(ticket)


class LeakedSlot(ProviderManager):
    """A task that is cancelled between its grant and its delivery keeps the lease that it never saw."""

    async def _park(self, ticket: int) -> Lease | Exception:
        answer = await super()._park(ticket)
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            self.__dict__.setdefault("_limbo", []).append(answer)  # where no finaliser finds it
            raise
        return answer


class LateRelease(ProviderManager):
    """Tells the model of a release by a task of its own, so that it comes after what happens next."""

    def _dispatch(self, event: Event) -> None:
        if isinstance(event, Released) and not self._closed.is_set():
            self._nursery.start_soon(self._later, event)
        else:
            super()._dispatch(event)

    async def _later(self, event: Event) -> None:
        super()._dispatch(event)


class ForgottenCancel(ProviderManager):
    """Cancelled in the queue, it does not say so."""

    def _settle(self, event: Event) -> None:
        if not isinstance(event, Cancelled):
            super()._settle(event)


MANAGER_MUTANTS = [UnshieldedShutdown, LostWakeUp, LeakedSlot, LateRelease, ForgottenCancel]
