"""Run one instance's whole life as one task: construct, start, wait, shut down. Its only output is events for the coordinator."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

import trio
from trio.lowlevel import disable_ki_protection, enable_ki_protection

from ..config.adapter import Adapter, AdapterConfig, AdapterFactory
from ..config.options import copy_options
from ..config.providers import Demand
from ..core.events import StartFailed, StartSucceeded, Stopped
from .expected import check_adapter, check_awaitable, name_of
from .faults import own_fault
from .outstanding import InstanceTask

__all__ = ["Report", "Worker"]

Report: TypeAlias = Callable[[StartSucceeded | StartFailed | Stopped], None]

BLOCKING_SECONDS: Final = 0.5  # a constructor that takes longer is warned of in the log

log = logging.getLogger(__name__)


class Worker:
    """Runs the adapter of one instance. An adapter that was constructed is shut down exactly once: there is one path to the end.

    The coordinator decides when to interrupt a start, when to stop, and when to give up on a shutdown; a report that comes after such
    a decision is late, and the coordinator ignores it.

    One cancel scope spans the adapter's life, so that ``start()`` may open a nursery that ``shutdown()`` closes. It shields from outer
    cancellation: the coordinator bounds everything.
    """

    def __init__(self, instance: int, demand: Demand, factory: AdapterFactory, report: Report) -> None:
        self.demand = demand
        self.adapter: Adapter | None = None
        self.error: BaseException | None = None  # why the start failed
        self._instance = instance
        self._factory = factory
        self._report = report
        self._stop_requested = trio.Event()
        self._life = trio.CancelScope(shield=True)
        self._stopping = trio.CancelScope(shield=True)

    def interrupt_start(self) -> None:
        """Cancel the start."""
        self._life.cancel()

    def stop(self) -> None:
        """Shut down as soon as the start has ended."""
        self._stop_requested.set()

    def abandon_stop(self) -> None:
        """Cancel the shutdown."""
        self._life.cancel()
        self._stopping.cancel()
        log.warning("the shutdown of %s is overdue", str(self.demand))

    def _is_cancelled(self) -> bool:
        """Return whether this task was cancelled by the coordinator, and not by what the adapter itself has open."""
        return self._life.cancel_called or self._stopping.cancel_called

    def task(self) -> InstanceTask:
        """Return the adapter and what this task was told."""
        return InstanceTask(
            self.adapter, self._stop_requested.is_set(), self._life.cancel_called, self._stopping.cancel_called
        )

    @enable_ki_protection
    async def run(self) -> None:
        """Construct the adapter, start it, wait for the stop, shut it down."""
        with self._life:
            if self._construct():
                try:
                    await self._start()
                finally:  # also after a KeyboardInterrupt or the like, which was reported as a failed start
                    with trio.CancelScope(shield=True):  # the start was interrupted, or a nursery that it left open was
                        await self._stop_requested.wait()
                    await self._shut_down()

    def _construct(self) -> bool:
        if self._stop_requested.is_set():  # stopped before it began
            self._report(Stopped(self._instance))
            return False
        began = time.perf_counter()
        try:
            adapter = self._made()
            check_adapter(adapter, self._factory)
        except BaseException as error:
            self._fail(error, constructed=False)
            return False
        blocked = time.perf_counter() - began
        if blocked > BLOCKING_SECONDS:
            log.warning(
                "constructing %s blocked every task for %.1f s: do what is slow in the adapter's async start()",
                str(self.demand),
                blocked,
            )
        self.adapter = adapter
        return True

    @disable_ki_protection
    def _made(self) -> Adapter:
        return self._factory(self._own_config())

    def _own_config(self) -> AdapterConfig:
        """Return a copy of the configuration for this instance alone: its adapter may change it."""
        shared = self.demand.adapter
        return replace(shared, options=copy_options(shared.options, "options"))

    async def _start(self) -> None:
        try:
            await self._started()
        except BaseException as error:
            self._fail(error, constructed=True)
        else:
            self._report(StartSucceeded(self._instance))

    @disable_ki_protection
    async def _started(self) -> None:
        await self._await_method("start")

    async def _await_method(self, name: str) -> None:
        """Call an optional method of the adapter. A cancellation that is not ours is an error of the adapter."""
        method = getattr(self.adapter, name, None)
        if method is None:
            return
        full_name = f"{name_of(self.adapter)}.{name}"
        try:
            result = method() if callable(method) else method
            check_awaitable(result, full_name)
            await result
        except BaseException as error:
            fault = own_fault(error, f"{full_name}()", self._is_cancelled())
            if fault is error:
                raise
            raise fault from error

    def _fail(self, error: BaseException, *, constructed: bool) -> None:
        """Report that the start failed. The coordinator passes it on to the requester, if that is still there."""
        self.error = error = own_fault(error, name_of(self._factory), self._is_cancelled())
        log.info("the start of %s failed with %s", self.demand, type(error).__name__)
        self._report(StartFailed(self._instance, constructed))
        if not constructed and self._stop_requested.is_set():
            # the start was overdue by then: nothing is to be shut down
            self._report(Stopped(self._instance))
        if not isinstance(error, Exception):
            raise error

    async def _shut_down(self) -> None:
        failed = True
        try:
            if self._life.cancel_called and not trio.lowlevel.current_task().child_nurseries:
                with self._stopping:  # the start was interrupted, the shutdown is not
                    await self._await_method("shutdown")
            else:  # a nursery that the start has left open can be closed only in the scope in which it was opened
                await self._await_method("shutdown")
            failed = False
        except Exception as error:
            log.warning("the shutdown of %s failed with %s", self.demand, type(error).__name__)
        finally:
            self._report(Stopped(self._instance, failed))
