"""R1 at every schedule: a stream is closed by another task, its reader is cancelled, and another model waits for the slot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from statemachine import AnswerStream, CallOptions, LeaseReleasedError
from statemachine.core.events import Released
from statemachine.manager.reading import Reading
from statemachine.schedules import NATURAL, Cancelling, Exhaustive, RandomWalk, explore, run, sweep
from tests.proof.cancellation import small_world
from tests.proof.expect import expect
from tests.proof.world import wish

OPTIONS = {"token_seconds": 1, "cleanup_seconds": 1, "cleanup_shielded": True}


async def read(stream: AnswerStream) -> None:
    try:
        async for _ in stream:
            pass
    except (trio.ClosedResourceError, LeaseReleasedError):
        return


async def close(stream: AnswerStream) -> None:
    await stream.close()
    expect(stream.lease.released, "closed, and its lease is held")


async def release(stream: AnswerStream) -> None:
    stream.lease.release()
    await trio.lowlevel.checkpoint()


Ending = Callable[[AnswerStream], Awaitable[None]]


async def program(*endings: Ending, cancelling: Cancelling | None = None) -> None:
    """One task reads, others end the stream, and one waits for the slot with another model."""
    world = small_world()
    scope = trio.CancelScope() if cancelling is None else cancelling.scope()
    async with world.manager:
        async with trio.open_nursery() as nursery:
            with scope:
                async with (
                    world.engine.call(
                        [{"role": "user", "content": "a b"}], CallOptions(wish("x", "local", **OPTIONS))
                    ) as stream,
                    trio.open_nursery() as inner,
                ):
                    inner.start_soon(read, stream)
                    nursery.start_soon(world.use, wish("y", "local"), 1)
                    for ending in endings:
                        inner.start_soon(ending, stream)
        await world.check_it_still_grants()
    await world.check_it_is_over()
    for adapter in world.recorder.adapters:
        expect(not adapter.overlaps, "a stream was under way when its instance was shut down", adapter.overlaps)


@pytest.mark.parametrize("endings", [(close,), (close, close), (release,)], ids=["close", "close twice", "release"])
def test_r01_a_stream_is_ended_by_another_task_at_every_schedule(endings: tuple[Ending, ...]) -> None:
    report = explore(partial(program, *endings), Exhaustive(most_runs=3000))
    report.raise_if_failed()
    assert report.runs > 20


@pytest.mark.parametrize("endings", [(close,), (close, release)], ids=["close", "close and release"])
def test_r01_larger_mixtures_survive_many_schedules(endings: tuple[Ending, ...]) -> None:
    explore(partial(program, *endings, close), RandomWalk(100)).raise_if_failed()


def test_r01_cancelled_at_every_step() -> None:
    def attempt(cancelling: Cancelling) -> None:
        run(partial(program, close, cancelling=cancelling), NATURAL, instruments=[cancelling]).raise_if_failed()

    assert sweep(attempt) > 10


def test_r01_a_reading_that_frees_its_lease_too_early_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it once was: the lease is given back when the stream is asked to close."""
    close_it = Reading.close

    async def gives_back_first(self: Reading) -> None:
        self._lessor.revoke(self._ticket)
        self._lessor._report(Released(self._ticket))
        await close_it(self)

    monkeypatch.setattr(Reading, "close", gives_back_first)
    assert explore(partial(program, close), RandomWalk(20)).failure is not None
