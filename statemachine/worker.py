"""One instance's whole life, as one task: construct, start, wait, shut down. Its only output is events for the model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import trio

from .adapter import Adapter, AdapterConfig, AdapterFactory, StartableAdapter, StoppableAdapter
from .config import Demand
from .events import StartFailed, StartSucceeded, Stopped
from .identity import copy_options

__all__ = ["Report", "Worker"]

Report: TypeAlias = Callable[[StartSucceeded | StartFailed | Stopped], None]

log = logging.getLogger(__name__)


class Worker:
    """Runs the adapter of one instance. An adapter that was constructed is shut down exactly once: there is one path to the end.

    The model decides when to interrupt a start, when to stop, and when to give up on a shutdown; a report that comes after such a
    decision is late, and the model ignores it.
    """

    def __init__(self, instance: int, demand: Demand, factory: AdapterFactory, report: Report) -> None:
        self.demand = demand
        self.adapter: Adapter | None = None
        self.error: Exception | None = None  # why the start failed
        self._instance = instance
        self._factory = factory
        self._report = report
        self._stop_requested = trio.Event()
        self._starting = trio.CancelScope()
        self._stopping = trio.CancelScope()

    def interrupt_start(self) -> None:
        """Cancel the start."""
        self._starting.cancel()

    def stop(self) -> None:
        """Shut down as soon as the start has ended."""
        self._stop_requested.set()

    def abandon_stop(self) -> None:
        """Cancel the shutdown."""
        self._stopping.cancel()
        log.warning("the shutdown of %s is overdue", str(self.demand))

    async def run(self) -> None:
        """Live. Runs shielded from outer cancellation: the model bounds it."""
        try:
            if self._construct():
                await self._start()
                await self._stop_requested.wait()
                await self._shut_down()
        except BaseException:  # KeyboardInterrupt and the like: whatever the model waits for will not come
            self._report(StartFailed(self._instance, constructed=False))
            self._report(Stopped(self._instance, failed=True))
            raise

    def _construct(self) -> bool:
        if self._stop_requested.is_set():  # given up on before it began
            self._report(Stopped(self._instance))
            return False
        try:
            self.adapter = self._factory(self._own_config())
        except Exception as error:
            self.error = error
            self._report(StartFailed(self._instance, constructed=False))
            return False
        return True

    def _own_config(self) -> AdapterConfig:
        """A copy for this instance alone: what its adapter does to it concerns no other."""
        shared = self.demand.adapter
        return replace(shared, options=copy_options(shared.options, "options"))

    async def _start(self) -> None:
        try:
            with self._starting:
                if isinstance(self.adapter, StartableAdapter):
                    await self.adapter.start()
        except Exception as error:
            self.error = error
            self._report(StartFailed(self._instance))
        else:
            self._report(StartSucceeded(self._instance))

    async def _shut_down(self) -> None:
        failed = False
        try:
            with self._stopping:
                if isinstance(self.adapter, StoppableAdapter):
                    await self.adapter.shutdown()
        except Exception as error:
            failed = True
            log.warning("the shutdown of %s failed with %s", str(self.demand), type(error).__name__)
        self._report(Stopped(self._instance, failed))
