"""One instance's whole life, as one task: construct, start, wait, shut down. Its only output is events for the model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import trio

from ..config.adapter import Adapter, AdapterConfig, AdapterFactory
from ..config.identity import copy_options
from ..config.providers import Demand
from ..core.events import StartFailed, StartSucceeded, Stopped

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
        self.error: BaseException | None = None  # why the start failed
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
        if self._construct():
            try:
                await self._start()
            finally:  # also after a KeyboardInterrupt or the like, which was reported as a failed start
                await self._stop_requested.wait()
                await self._shut_down()

    def _construct(self) -> bool:
        if self._stop_requested.is_set():  # given up on before it began
            self._report(Stopped(self._instance))
            return False
        try:
            adapter = self._factory(self._own_config())
            if adapter is None:
                raise TypeError("the factory returned None instead of an adapter")
        except BaseException as error:
            self._fail(error, constructed=False)
            return False
        self.adapter = adapter
        return True

    def _own_config(self) -> AdapterConfig:
        """A copy for this instance alone: what its adapter does to it concerns no other."""
        shared = self.demand.adapter
        return replace(shared, options=copy_options(shared.options, "options"))

    async def _start(self) -> None:
        try:
            with self._starting:
                if callable(start := getattr(self.adapter, "start", None)):
                    await start()
        except BaseException as error:
            self._fail(error, constructed=True)
        else:
            self._report(StartSucceeded(self._instance))

    def _fail(self, error: BaseException, *, constructed: bool) -> None:
        """The start failed: tell the model, and through it the requester if that is still there."""
        self.error = error
        log.info("the start of %s failed with %s", self.demand, type(error).__name__)
        self._report(StartFailed(self._instance, constructed))
        if (
            not constructed and self._stop_requested.is_set()
        ):  # the start was overdue by then: there is nothing to shut down
            self._report(Stopped(self._instance))
        if not isinstance(error, Exception):
            raise error

    async def _shut_down(self) -> None:
        failed = True
        try:
            with self._stopping:
                if callable(shutdown := getattr(self.adapter, "shutdown", None)):
                    await shutdown()
            failed = False
        except Exception as error:
            log.warning("the shutdown of %s failed with %s", self.demand, type(error).__name__)
        finally:
            self._report(Stopped(self._instance, failed))
