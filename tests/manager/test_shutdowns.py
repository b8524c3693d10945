"""A start or a shutdown that is cut off at every one of its checkpoints: by its deadline, by an error, by a cancellation of the program."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable

import pytest
import trio
from trio.testing import MockClock

from statemachine import (
    AdapterConfig,
    AdapterInstantiationError,
    CallOptions,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    StreamEvent,
)
from tests.contract.recording import want

STEPS = 4  # of a start and of a shutdown, one virtual second each
X, Y = want("local", "x"), want("local", "y")


class Stepwise:
    """An adapter that takes its time, and keeps a nursery open from its start to its shutdown, as one with a child process does."""

    def __init__(self, config: AdapterConfig) -> None:
        self.model = config.model_id
        self.started = self.stopped = self.shutdowns = 0
        self.cleaned_up = False
        self.at_step: Callable[[int], None] = lambda step: None  # called in each step of the shutdown
        self.lives = math.inf  # seconds of what runs in the background

    async def in_background(self) -> None:
        await trio.sleep(self.lives)
        raise OSError("the process has ended")

    async def start(self) -> None:
        if self.model != "x":
            return
        self._context = trio.open_nursery()
        self.nursery = await self._context.__aenter__()
        self.nursery.start_soon(self.in_background)
        for _ in range(STEPS):
            await trio.sleep(1)
            self.started += 1

    async def call(self, prompt: object, options: CallOptions) -> AsyncIterator[StreamEvent]:
        raise AssertionError("no call is made")
        yield StreamEvent("end")

    async def shutdown(self) -> None:
        self.shutdowns += 1
        if self.model != "x":
            return
        try:
            for step in range(STEPS):
                self.at_step(step)
                await trio.sleep(1)
                self.stopped += 1
        finally:
            self.cleaned_up = True
            self.nursery.cancel_scope.cancel()
            await self._context.__aexit__(None, None, None)


class Made:
    """The adapters, by model."""

    def __init__(self, at_step: Callable[[int], None] = lambda step: None, lives: float = math.inf) -> None:
        self.by_model: dict[str, Stepwise] = {}
        self._at_step = at_step
        self._lives = lives

    def __call__(self, config: AdapterConfig) -> Stepwise:
        adapter = self.by_model[config.model_id] = Stepwise(config)
        adapter.at_step, adapter.lives = self._at_step, self._lives
        return adapter


def manager(made: Made, **options: object) -> ProviderManager:
    provider = ProviderConfig("local", made, is_local=True)
    return ProviderManager(ProviderManagerConfig([provider], on_conflict="wait", **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [step + 0.5 for step in range(STEPS + 1)])
async def test_a_shutdown_is_overdue_at_every_checkpoint(autojump_clock: MockClock, timeout: float) -> None:
    made = Made()
    async with manager(made, shutdown_timeout=timeout) as running:
        (await running.get_adapter(X)).release()
        began = trio.current_time()
        async with running.acquire(Y):
            assert trio.current_time() - began == min(timeout, STEPS)
        await trio.sleep(1)
        x = made.by_model["x"]
        assert (x.shutdowns, x.stopped, x.cleaned_up) == (1, min(int(timeout), STEPS), True)
        assert running.statistics().counters.shutdown_failures == (timeout < STEPS)
    assert not running.outstanding().instances
    assert made.by_model["y"].shutdowns == 1


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("stored", [False, True], ids=["an error", "a stored cancellation"])
async def test_a_shutdown_fails_at_every_checkpoint(autojump_clock: MockClock, step: int, stored: bool) -> None:
    """R9: a cancellation that is none of the program's is a failed shutdown, and nothing else."""
    errors: list[BaseException] = [OSError("told to fail")]
    if stored:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.sleep_forever()
            except trio.Cancelled as cancelled:
                errors = [cancelled]

    def fail(at: int) -> None:
        if at == step:
            raise errors[0]

    made = Made(fail)
    async with manager(made) as running:
        (await running.get_adapter(X)).release()
        async with running.acquire(Y):
            assert trio.current_time() == STEPS + step
        x = made.by_model["x"]
        assert (x.shutdowns, x.stopped, x.cleaned_up) == (1, step, True)
        assert running.statistics().counters.shutdown_failures == 1
    assert not running.outstanding().instances


@pytest.mark.parametrize("step", range(STEPS + 1))
@pytest.mark.parametrize("whose", ["the program", "the next requester"])
async def test_a_shutdown_goes_on_whoever_is_cancelled_at_any_checkpoint(
    autojump_clock: MockClock, step: int, whose: str
) -> None:
    made = Made()
    with trio.CancelScope() as program:
        async with manager(made) as running, trio.open_nursery() as nursery:
            (await running.get_adapter(X)).release()

            async def wait() -> None:
                async with running.acquire(Y):
                    await trio.sleep(1)

            nursery.start_soon(wait)
            await trio.sleep(step + 0.5)
            (program if whose == "the program" else nursery.cancel_scope).cancel()
    x = made.by_model["x"]
    assert (x.shutdowns, x.stopped, x.cleaned_up) == (1, STEPS, True), "it was shielded"
    assert trio.current_time() <= 2 * STEPS + 1.5
    assert not running.outstanding().instances


@pytest.mark.parametrize("timeout", [step + 0.5 for step in range(STEPS)])
async def test_a_start_is_overdue_at_every_checkpoint_and_its_shutdown_is_whole(
    autojump_clock: MockClock, timeout: float
) -> None:
    made = Made()
    async with manager(made, start_timeout=timeout) as running:
        with pytest.raises(AdapterInstantiationError):
            await running.get_adapter(X)
        assert trio.current_time() == timeout
        async with running.acquire(Y):
            x = made.by_model["x"]
            assert (x.started, x.shutdowns, x.cleaned_up) == (int(timeout), 1, True)
            assert trio.current_time() == timeout + x.stopped
        counters = running.statistics().counters
        assert (counters.start_failures, counters.stops) == (1, 1)
    assert not running.outstanding().instances


@pytest.mark.parametrize("lives", [second + 0.5 for second in range(STEPS + 4)])
async def test_r12_what_an_adapter_runs_in_the_background_may_fail_at_any_time(
    autojump_clock: MockClock, lives: float
) -> None:
    """As a child process that dies: in its start, in a lease, or idle. It costs that instance, and nothing else."""
    made = Made(lives=lives)
    async with manager(made) as running:
        starts = lives < STEPS
        try:
            async with running.acquire(X):
                await trio.sleep(2)
        except AdapterInstantiationError:
            assert starts
            assert trio.current_time() == lives
        else:
            assert not starts
            await trio.sleep(2)
        with trio.fail_after(2 * STEPS):
            (await running.get_adapter(Y)).release()
        x = made.by_model["x"]
        assert (x.shutdowns, x.cleaned_up) == (1, True)
        counters = running.statistics().counters
        assert (counters.start_failures, counters.shutdown_failures) == (starts, 1)
    assert not running.outstanding().instances
    assert made.by_model["y"].shutdowns == 1
