"""The cancellation sweep itself: it counts every checkpoint, and notices who swallows a cancellation."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from statemachine.schedules import NATURAL, Cancelling, ScheduleError, run, sweep


def test_every_checkpoint_is_swept() -> None:
    reached: list[int] = []

    def attempt(cancelling: Cancelling) -> None:
        async def main() -> None:
            with cancelling.scope():
                for done in range(3):
                    reached.append(done)
                    await trio.sleep(1)

        run(main, NATURAL, instruments=[cancelling]).raise_if_failed()

    assert sweep(attempt) == 5  # before it begins, at each sleep, and when a task of trio's own has begun
    assert reached == [0, 0, *range(1), *range(2), *range(3), *range(3)]


def test_a_swallowed_cancellation_fails() -> None:
    def attempt(cancelling: Cancelling) -> None:
        async def main() -> None:
            with cancelling.scope():
                with suppress(trio.Cancelled):  # the mistake that is to be found
                    await trio.sleep(1)

        run(main, NATURAL, instruments=[cancelling]).raise_if_failed()

    with pytest.raises(ScheduleError, match="swallowed"):
        sweep(attempt)
