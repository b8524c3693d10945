"""Which models the router runs: one process for each, as far as clients see them.

A load answers at once and ends later: ``loaded``, or ``unloaded`` and failed. At the limit the model that was used longest ago makes room
if it is idle; if all are busy a load is refused, and a chat waits. An unload stops a process whether it is busy or not, and takes a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import trio

from ...timing.latency import LatencyProfile, ModelSpec
from ..faults import Faults

__all__ = ["Child", "Router", "RouterError"]

State = Literal["unloaded", "loading", "loaded"]


class RouterError(Exception):
    """The router refuses."""

    def __init__(self, status: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind


@dataclass(eq=False)
class Child:
    """One model and its process. ``end`` says how it ended while it was in use: ``killed`` or ``unloaded``."""

    model: ModelSpec
    state: State = "unloaded"
    exit_code: int | None = None
    failed: bool = False
    users: int = 0
    used: int = 0
    end: str | None = None
    ended: trio.Event = field(default_factory=trio.Event)


class Router:
    """``children`` by model name. ``log`` is the names of the models that were loaded, in order. ``tell`` is called with every event.

    ``nursery`` runs the loads and unloads; it must be open while requests come.
    """

    def __init__(self, models: dict[str, ModelSpec], profile: LatencyProfile, faults: Faults, most: int) -> None:
        self.children = {name: Child(model) for name, model in models.items()}
        self.log: list[str] = []
        self.nursery: trio.Nursery | None = None
        self.peak_resident = 0
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self._profile = profile
        self._faults = faults
        self._most = most
        self._clock = 0
        self._changed = trio.Event()

    def load(self, name: str) -> None:
        """Begin to load. Raises RouterError."""
        child = self.children[name]
        if child.state != "unloaded":
            raise RouterError(400, "invalid_request_error", "model is already running")
        if not self._make_room():
            raise RouterError(500, "server_error", "model limit reached, try again later")
        self._begin(child)

    def unload(self, name: str) -> None:
        """Begin to unload; answers that the model is making are cut. Raises RouterError."""
        child = self.children.get(name)
        if child is None:
            raise RouterError(400, "invalid_request_error", "model is not found")
        if child.state == "unloaded":
            raise RouterError(400, "invalid_request_error", "model is not running")
        assert self.nursery is not None, "the router must run"
        self.nursery.start_soon(self._unload, child, child.ended)

    def kill(self, name: str) -> None:
        """End the model's process, as a crash does."""
        child = self.children[name]
        child.failed, child.exit_code = True, 1
        self._end(child, "killed")

    async def acquire(self, name: str) -> Child:
        """Return the model, loaded, for one request; ``release`` gives it back. Raises RouterError."""
        child = self.children.get(name)
        if child is None:
            raise RouterError(400, "invalid_request_error", f"model '{name}' not found")
        begun = False
        while child.state != "loaded":
            if child.state == "unloaded":
                if begun:
                    raise RouterError(500, "server_error", f"model name={name} failed to load")
                if self._make_room():
                    self._begin(child)
                    begun = True
                    continue
            await self._changed.wait()
        child.users += 1
        return child

    def release(self, child: Child) -> None:
        child.users -= 1
        self._clock += 1
        child.used = self._clock
        self._notify()

    def _make_room(self) -> bool:
        """Return whether one more may be loaded now. An idle model is stopped if that helps."""
        live = [child for child in self.children.values() if child.state != "unloaded"]
        if len(live) < self._most:
            return True
        idle = [child for child in live if child.state == "loaded" and not child.users]
        if not idle:
            return False
        self._end(min(idle, key=lambda child: child.used), "unloaded")
        return True

    def _begin(self, child: Child) -> None:
        assert self.nursery is not None, "the router must run"
        child.state, child.failed, child.exit_code, child.end = "loading", False, None, None
        child.ended = trio.Event()
        resident = sum(other.state != "unloaded" for other in self.children.values())
        self.peak_resident = max(self.peak_resident, resident)
        self._tell(child, {"status": "loading"}, "model_status")
        self.nursery.start_soon(self._load, child, child.ended, self._faults.take_load())

    async def _load(self, child: Child, ended: trio.Event, failure: str | None) -> None:
        progress = {"stages": ["text_model"], "current": "text_model", "value": 0.0}
        self._tell(child, {"status": "loading", "progress": progress})
        with trio.move_on_after(self._profile.load_seconds(child.model, len(self.log) + 1)):
            await ended.wait()
            return
        if failure is not None:
            child.failed, child.exit_code = True, 1
            self._end(child, "killed")
            return
        child.state = "loaded"
        self.log.append(child.model.key)
        self._tell(child, {"status": "loaded"})
        self._notify()

    async def _unload(self, child: Child, ended: trio.Event) -> None:
        with trio.move_on_after(child.model.unload_seconds):
            await ended.wait()
            return
        child.exit_code = 0
        self._end(child, "unloaded")

    def _end(self, child: Child, how: str) -> None:
        child.state, child.end = "unloaded", how
        child.ended.set()
        self._tell(child, {"status": "unloaded", "exit_code": child.exit_code or 0})
        self._notify()

    def _tell(self, child: Child, data: dict[str, Any], event: str = "status_change") -> None:
        for listener in self.listeners:
            listener({"model": child.model.key, "event": event, "data": data})

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
