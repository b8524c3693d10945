"""A program with a bug that shows only if a task is held up three times: a failing schedule to be found, shrunk and repeated."""

from __future__ import annotations

from contextlib import suppress

import trio

from statemachine.schedules import watch


class Seat:
    """The last one: free, and then sold."""

    def __init__(self) -> None:
        self.offered = True
        self.sold: list[str] = []


async def buy(seat: Seat, who: str, delay: int) -> None:
    for _ in range(delay):
        await trio.lowlevel.checkpoint()
    if seat.offered:
        await trio.lowlevel.checkpoint()  # the mistake: it has looked, and gives way
        seat.offered = False
        await trio.lowlevel.checkpoint()
        seat.sold.append(who)


async def program() -> None:
    """Fails if one seat is sold twice."""
    seat = Seat()
    watch(state=lambda: (seat.offered, tuple(seat.sold)))
    async with trio.open_nursery() as nursery:
        for number, who in enumerate(("ann", "bob")):
            nursery.start_soon(buy, seat, who, 3 * number, name=who)
    assert len(seat.sold) < 2, f"sold to {' and '.join(seat.sold)}"


async def stubborn() -> None:
    """Takes longer than anybody would wait, and takes every exception."""
    for _ in range(100_000):
        with suppress(BaseException):
            await trio.lowlevel.checkpoint()
