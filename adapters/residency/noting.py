"""Note a load in the file of what is owned, and unload what an earlier run has left there."""

from __future__ import annotations

from typing import Final

import trio

from .memory import POLL_SECONDS, Memory
from .owned import Owned, OwnedFile
from .server import Resident, by_id, different

__all__ = ["Noting"]

LEFT_SECONDS: Final = 5.0
"""How long a load that an earlier run had sent is waited for."""


class Noting:
    """Notes the loads of ``memory``'s model in ``file`` (None: nowhere), where it is called ``place``."""

    def __init__(self, memory: Memory, file: OwnedFile | None, place: Owned) -> None:
        self._memory: Final = memory
        self._file: Final = file
        self._place: Final = place
        self._number: int | None = None  # of our load, in the file

    def begin(self) -> None:
        """Note that a load is about to be sent."""
        if self._file is not None and self._number is None:
            self._number = self._file.loading(self._place)

    def end(self, loaded: Resident | None) -> None:
        """Note that the load has brought ``loaded``; None: nothing, or nothing that is still there."""
        if self._file is None or self._number is None:
            return
        if loaded is not None:
            self._file.loaded(self._number, self._place, loaded.id, loaded.config)
        else:
            self._file.gone(self._number)
            self._number = None

    async def recover(self) -> list[str]:
        """Unload what an earlier run has left of this model, if it is as it was; return the ids. Raises AdapterError."""
        if (file := self._file) is None:
            return []
        unloaded: list[str] = []
        here = (self._place.server, self._place.model)
        for number, left in [item for item in file.left.items() if (item[1].server, item[1].model) == here]:
            if (row := await self._left(left)) is not None:
                await self._memory.remove(row.id)
                unloaded.append(row.id)
            file.gone(number)
        return unloaded

    async def _left(self, left: Owned) -> Resident | None:
        """Return the instance that an earlier run has left. One that was being loaded may still be on its way for a while."""
        until = trio.current_time() + (LEFT_SECONDS if left.id is None else 0)
        while True:
            rows = await self._memory.rows()
            if left.id is None:
                fitting = self._memory.fitting(rows)
                found = fitting[0] if len(fitting) == 1 else None
            else:
                row = by_id(rows, left.id)
                found = None if row is None or different(row.config, left.config) else row
            if found is not None or trio.current_time() >= until:
                return found
            await trio.sleep(POLL_SECONDS)
