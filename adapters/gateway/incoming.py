"""What one client sends: read directly at first, and once its first request is here, by a task that reads on while that is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

__all__ = ["LOST", "Incoming"]

PIECE_BYTES: Final = 64 * 1024
AHEAD_LIMIT_BYTES: Final = 64 * 1024
"""How much is kept of what follows a request that is being answered: a client may send its next request early."""
LOST: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class Incoming:
    """``leave`` is called when the client has closed its side, which ``gone`` says.

    ``is_awaited``: the request is still being read, so what is beyond the limit has to wait. Else it is dropped, because otherwise the
    client's going would not be noticed; ``has_dropped`` says that.
    """

    def __init__(self, stream: trio.SocketStream, leave: Callable[[], None]) -> None:
        self.gone = False
        self.is_awaited = True
        self.has_dropped = False
        self._stream = stream
        self._leave = leave
        self._reads_ahead = False
        self._ahead = b""
        self._turn = trio.lowlevel.ParkingLot()  # of the task that waits for bytes, or for room

    def read_ahead_in(self, nursery: trio.Nursery) -> None:
        """Start the task that reads, unless it runs. It ends when the client or the server closes the connection."""
        if not self._reads_ahead:
            self._reads_ahead = True
            nursery.start_soon(self._read_ahead)

    async def more(self) -> bytes:
        """Return what comes next; empty where the client has gone."""
        if not self._reads_ahead:
            return await self._received()
        while not self._ahead and not self.gone:
            await self._turn.park()
        data, self._ahead = self._ahead, b""
        self._turn.unpark_all()
        return data

    def no_longer_wanted(self) -> None:
        """Note that no more will be asked for: the task that reads need not wait for room."""
        self.is_awaited = False
        self._turn.unpark_all()

    async def _read_ahead(self) -> None:
        while data := await self._received():
            self._ahead += data
            self._turn.unpark_all()
            while len(self._ahead) > AHEAD_LIMIT_BYTES:
                if self.is_awaited:
                    await self._turn.park()
                else:
                    self.has_dropped, self._ahead = True, b""
        self._turn.unpark_all()
        self._leave()

    async def _received(self) -> bytes:
        try:
            data = bytes(await self._stream.receive_some(PIECE_BYTES))
        except LOST:
            data = b""
        self.gone = self.gone or not data
        return data
