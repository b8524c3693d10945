"""A server's memory, as its list shows it: what fits is found there, and what was asked to go is watched until it is gone."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import trio

from statemachine.errors import AdapterConnectError, AdapterError, ModelEvictedError, ModelNotFoundError

from .judging import may_pass
from .server import ModelServer, Resident, by_id, different

__all__ = ["POLL_SECONDS", "Memory", "pauses"]

log = logging.getLogger("adapters.residency")

POLL_SECONDS: Final = 0.5
ACCEPTED_SECONDS: Final = 1.0
"""How long an unload that the server has accepted is not repeated, though the list still shows the model. A llama.cpp router keeps a second
one, which comes as the model's process ends, for the model's next process: it stops that one at once, and kills it 10 s later."""
_FIRST_PAUSE_SECONDS: Final = 0.05


class Memory:
    """What ``server`` has in memory of one model. ``name`` begins messages; ``config`` is what is asked of an instance."""

    def __init__(self, server: ModelServer, name: str, config: Mapping[str, Any]) -> None:
        self.server: Final = server
        self.name: Final = name
        self.config: Final = config
        self.absences = 0  # how often nothing listened where the server should be

    async def rows(self, *, away_seconds: float = math.inf) -> Sequence[Resident]:
        """Read the list; it is asked again where it cannot be read for a reason that may pass. Raises AdapterError.

        ``away_seconds``: for how long it is asked where nothing listens at all.
        """
        away_from = math.inf
        while True:
            try:
                return await self.server.list()
            except AdapterError as error:
                is_away = isinstance(error, AdapterConnectError) and not error.sent
                away_from = min(away_from, trio.current_time()) if is_away else math.inf
                if not may_pass(error) or trio.current_time() - away_from >= away_seconds:
                    raise
                self.absences += is_away
            await trio.sleep(POLL_SECONDS)

    def instances(self, rows: Sequence[Resident]) -> list[Resident]:
        """Return the instances of our model, loaded or on their way in, whatever their configuration."""
        return [row for row in rows if row.state in ("loaded", "loading") and self.server.fits(row)]

    def fitting(self, rows: Sequence[Resident]) -> list[Resident]:
        """Return those of them with our configuration."""
        return [row for row in self.instances(rows) if not self.differing(row)]

    def differing(self, row: Resident) -> list[str]:
        """Return what the instance has otherwise than was asked for."""
        return different(row.config, self.config)

    async def remove(self, resident_id: str, *, was: Resident | None = None, unseen: bool = False) -> None:
        """Unload until the list says that it is gone. What may pass is asked again. Raises AdapterError.

        ``was``: only while it is as it was then. ``unseen``: also if it is not in the list, as the server has told its id.
        """
        ask_from = -math.inf
        for pause in pauses():
            row = by_id(await self.rows(), resident_id)
            if row is None and unseen:
                await self._ask_to_unload(resident_id)
            if row is None or row.state == "failed":
                return
            if was is not None and (differing := different(row.config, was.config)):
                log.warning(
                    "%s: left loaded: it has another %s than what was loaded here", self.name, ", ".join(differing)
                )
                return
            if row.state != "unloading" and trio.current_time() >= ask_from and await self._ask_to_unload(resident_id):
                ask_from = trio.current_time() + ACCEPTED_SECONDS
            if by_id(await self.rows(), resident_id) is None:
                return
            await trio.sleep(pause)

    async def _ask_to_unload(self, resident_id: str) -> bool:
        """Ask once to unload; return whether the server accepted it. Whether it helped, the list tells; only what cannot pass is raised."""
        try:
            await self.server.unload(resident_id)
            return True
        except (ModelNotFoundError, ModelEvictedError):
            pass
        except AdapterError as error:
            if not may_pass(error):
                raise
        return False


def pauses() -> Iterator[float]:
    """Yield how long to wait between two looks: short at first, since most things are quick."""
    seconds = _FIRST_PAUSE_SECONDS
    while True:
        yield min(seconds, POLL_SECONDS)
        seconds *= 2
