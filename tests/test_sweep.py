"""The instrument itself: it ends what would never end, and counts every checkpoint."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from .sweep import Cancelling, run, sweep


def test_a_deadlock_fails_even_where_it_is_shielded() -> None:
    async def waits_for_ever() -> None:
        with trio.CancelScope(shield=True):
            await trio.Event().wait()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits_for_ever)
            await trio.sleep(1)

    with pytest.raises(AssertionError, match=r"stuck for ever.*waits_for_ever"):
        run(main)


def test_a_livelock_fails() -> None:
    async def main() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    with pytest.raises(AssertionError, match=r"stuck for ever.*watched"):
        run(main)


def test_every_checkpoint_is_swept() -> None:
    reached: list[int] = []

    def attempt(cancelling: Cancelling) -> None:
        async def main() -> None:
            with cancelling.scope():
                for done in range(3):
                    reached.append(done)
                    await trio.sleep(1)

        run(main, 0, cancelling)

    assert sweep(attempt) == 4  # before it begins, and at each sleep
    assert reached == [0, *range(1), *range(2), *range(3), *range(3)]


def test_a_swallowed_cancellation_fails() -> None:
    def attempt(cancelling: Cancelling) -> None:
        async def main() -> None:
            with cancelling.scope():
                with suppress(trio.Cancelled):  # the mistake that is to be found
                    await trio.sleep(1)

        run(main, 0, cancelling)

    with pytest.raises(AssertionError, match="swallowed"):
        sweep(attempt)
