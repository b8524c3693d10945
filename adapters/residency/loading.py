"""The load of one model: found loaded, or loaded once and owned, whatever becomes of the load and of its answer."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal

import trio

from statemachine.errors import (
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterTimeoutError,
    ModelLoadError,
)
from statemachine.text import fit_to_show

from .judging import LoadState, after_refusal
from .memory import POLL_SECONDS, Memory, pauses
from .noting import Noting
from .server import ALREADY_RUNNING, Resident, by_id

__all__ = ["Foreign", "Loading"]

log = logging.getLogger("adapters.residency")

BACK_SECONDS: Final = 10.0
"""How long a server may be away during a load, and how long the load may be missing from its list when it is back. Most were ended and
begun again, and have lost their loads; LM Studio's server can also be switched off and on in its application, where a load goes on."""

Foreign = Literal["ignore", "wait", "evict"]


class Loading:
    """Finds or loads the model of ``memory``. ``state`` and ``owned_id``: what is known of our load; ``resident``: what it brought.

    ``list_lag``, ``answered_lag``: see ``Residency``. ``noting`` is told before a load is sent.
    """

    def __init__(self, memory: Memory, foreign: Foreign, list_lag: float, answered_lag: float, noting: Noting) -> None:
        self.state: LoadState = "none"
        self.owned_id: str | None = None
        self.resident: Resident | None = None
        self._memory: Final = memory
        self._foreign: Final = foreign
        self._noting: Final = noting
        self._list_lag: Final = list_lag
        self._answered_lag: Final = answered_lag
        self._missing_from = math.inf  # on trio's clock: from then on, a load that the list does not show is over

    async def run(self) -> Resident:
        """Return an instance to use. Begins again, list first, while the server is busy: then nothing was loaded. Raises AdapterError."""
        for pause in pauses():
            try:
                return await self._find_or_load()
            except AdapterBusyError as error:
                self.state = "none"
                pause = max(pause, error.retry_after or 0)
            await trio.sleep(pause)
        raise AssertionError("there is always another pause")

    async def settle(self) -> None:
        """Wait until it is known what became of a load that may be under way. Raises AdapterError."""
        if self.state in ("open", "doubtful"):
            with suppress(ModelLoadError):  # then there is nothing to unload
                await self._find_own()

    async def _find_or_load(self) -> Resident:
        memory = self._memory
        rows = await memory.server.list()
        if not memory.fitting(rows) and self._foreign != "ignore":
            rows = await self._without_foreign(rows)
        return await self._coming(rows) or await self._loaded()

    async def _coming(self, rows: Sequence[Resident]) -> Resident | None:
        """Return an instance that fits and is loaded, or will be: it is waited for. None: there is none."""
        while fitting := self._memory.fitting(rows):
            for row in fitting:
                if row.state == "loaded":
                    return row
            await trio.sleep(POLL_SECONDS)
            rows = await self._memory.rows()
        return None

    async def _loaded(self) -> Resident:
        """Load it, own it, and wait until it is there."""
        self.state, self._missing_from = "open", trio.current_time() + self._list_lag
        self._noting.begin()
        try:
            self.owned_id = await self._memory.server.load()
            self._missing_from = trio.current_time() + self._answered_lag
        except (AdapterConnectError, AdapterTimeoutError) as error:
            if isinstance(error, AdapterConnectError) and not error.sent:
                self.state = "none"
                raise
        except AdapterError as error:
            self.state, self._missing_from = after_refusal(error), trio.current_time() + self._answered_lag
            if error.code == ALREADY_RUNNING and (found := await self._coming(await self._memory.rows())) is not None:
                return found
            raise
        if self.owned_id is not None:
            self.state = "owned"
        resident = await self._find_own()
        if resident is None:
            raise ModelLoadError(f"{self._memory.name}: the load ended, and the model is not there")
        if differing := self._memory.differing(resident):
            what = f"loaded with another {', '.join(differing)} than was asked for"
            raise ModelLoadError(f"{self._memory.name}: {what}")
        return resident

    async def _find_own(self) -> Resident | None:
        """Wait for the end of our load, and own what it brought. None: nothing. Raises ModelLoadError with its cause.

        What the server has told the id of is unloaded even if it never showed.
        """
        seen_loading, absences = False, self._memory.absences
        for pause in pauses():
            row = self._own(rows := await self._memory.rows(away_seconds=BACK_SECONDS))
            if self._memory.absences != absences:
                absences = self._memory.absences
                self._missing_from = min(self._missing_from, trio.current_time() + BACK_SECONDS)
            if row is not None and row.state == "loaded":
                self.state, self.owned_id, self.resident = "owned", row.id, row
                return row
            failed = next((r for r in rows if r.state == "failed" and self._is_ours(r)), None)
            if failed is not None:
                self.state = "none"
                raise ModelLoadError(f"{self._memory.name}: {fit_to_show(failed.reason) or 'the load failed'}")
            over = seen_loading or self.state == "doubtful" or trio.current_time() >= self._missing_from
            if row is None and over:
                self.state = "none" if self.owned_id is None else "owned"
                return None
            seen_loading = seen_loading or row is not None
            await trio.sleep(pause)
        return None

    def _own(self, rows: Sequence[Resident]) -> Resident | None:
        """Return the instance that our load made: by its id; else the one that fits, as none did before. Two cannot be told apart."""
        if self.owned_id is not None:
            return by_id(rows, self.owned_id)
        fitting = self._memory.fitting(rows)
        if len(fitting) > 1:
            text = "several instances appeared during the load, and it is unknown which is ours"
            raise AdapterError(f"{self._memory.name}: {text}")
        return fitting[0] if fitting else None

    def _is_ours(self, row: Resident) -> bool:
        return row.id == self.owned_id if self.owned_id is not None else self._memory.server.fits(row)

    async def _without_foreign(self, rows: Sequence[Resident]) -> Sequence[Resident]:
        """Wait until no other model is in memory, or unload them. Returns the list then."""
        memory = self._memory
        while foreign := [row for row in rows if row.state != "failed" and row not in memory.fitting(rows)]:
            if self._foreign == "evict":
                for row in foreign:
                    log.info("%s: unloads %s, which is foreign", memory.name, fit_to_show(row.id))
                    await memory.remove(row.id)
            else:
                await trio.sleep(POLL_SECONDS)
            rows = await memory.rows()
        return rows
