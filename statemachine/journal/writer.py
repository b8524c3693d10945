"""Write a journal: ``ProviderManager(config, core=Journal(path).core)``.

A line is written as soon as its change has happened. A file that has grown to ``rotate_bytes`` is renamed to ``PATH.1``, the next one to
``PATH.2``, and so on; together they are one journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ..checks import check_count
from ..config.providers import ProviderManagerConfig
from ..core.coordinator import Coordinator, Watch
from ..core.events import AcquireRequested, Effect, Event, Transition
from .forms import Demands, form, header
from .lines import JsonLines

__all__ = ["ROTATE_BYTES", "Journal"]

ROTATE_BYTES: Final = 64 * 1024 * 1024
DEMANDS_LIMIT: Final = 4096
OWNERS_SLACK: Final = 64


class Journal(JsonLines):
    """The journal of one manager, closed at the end of its ``with`` block.

    Raises OSError where the file cannot be made, or is there already, and ConfigurationError for a bad ``rotate_bytes``.
    """

    def __init__(self, path: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        check_count("rotate_bytes", rotate_bytes)
        super().__init__(path, what="journal", goes_on="manager", rotate_bytes=rotate_bytes)
        self._changes = 0
        self._demands = Demands()
        self._owners = _Owners()

    def core(self, config: ProviderManagerConfig, *, record: bool = False, watch: Watch | None = None) -> Coordinator:
        """Make a coordinator whose changes are written to the journal. ``watch`` is called as well."""
        self.write_line(header(config))
        return Coordinator(config, record=record, watch=_both(self._watch, watch))

    def _watch(self, coordinator: Coordinator, event: Event) -> Callable[[list[Effect]], None] | None:
        if not self.is_open:
            return None

        def after(effects: list[Effect]) -> None:
            self._changes += 1
            told = [form(effect, self._demands) for effect in effects if not isinstance(effect, Transition)]
            self.write_line({"n": self._changes, "t": coordinator.ledger.now, "event": asked, "effects": told})

        asked = self._event_form(coordinator, event)
        return after

    def _event_form(self, coordinator: Coordinator, event: Event) -> Any:
        if len(self._demands) > DEMANDS_LIMIT:
            self._demands.forget()
        if isinstance(event, AcquireRequested):
            owner = self._owners.form(event.owner, coordinator)
            event = replace(event, owner=owner)
        return form(event, self._demands)


class _Owners:
    """Numbers for owners, which are tasks. A number is remembered while the coordinator has a request of its owner."""

    def __init__(self) -> None:
        self._numbers: dict[int, tuple[object, int]] = {}
        self._last = 0

    def form(self, owner: object, coordinator: Coordinator) -> Any:
        """Return the number of ``owner``, or the list of the numbers of a tuple."""
        if isinstance(owner, tuple):
            return tuple(self._number(one) for one in owner)
        if len(self._numbers) > 2 * len(coordinator.requests) + OWNERS_SLACK:
            self._forget(coordinator)
        return self._number(owner)

    def _number(self, owner: object) -> int:
        known = self._numbers.get(id(owner))
        if known is None:
            self._last += 1
            known = self._numbers[id(owner)] = (owner, self._last)
        return known[1]

    def _forget(self, coordinator: Coordinator) -> None:
        living = {id(request.owner) for request in coordinator.requests.values()}
        self._numbers = {key: known for key, known in self._numbers.items() if key in living}


def _both(first: Watch, second: Watch | None) -> Watch:
    if second is None:
        return first

    def watch(coordinator: Coordinator, event: Event) -> Callable[[list[Effect]], None]:
        ends = [end for one in (first, second) if (end := one(coordinator, event)) is not None]

        def after(effects: list[Effect]) -> None:
            for end in ends:
                end(effects)

        return after

    return watch
