"""Count what is under way, so that the gateway can wait until nothing is, and knows how many bytes it holds for others."""

from __future__ import annotations

import trio

__all__ = ["UnderWay"]


class UnderWay:
    """``with under_way:`` counts one more for the length of the block. ``none`` is set while there are none."""

    def __init__(self) -> None:
        self.count = 0
        self.none = trio.Event()
        self.none.set()

    def __enter__(self) -> None:
        if not self.count:
            self.none = trio.Event()
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1
        if not self.count:
            self.none.set()
