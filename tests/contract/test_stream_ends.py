"""R1, R5, R9, R12: what reaches the reader of a stream, and the task that leaves its block, when something goes wrong at its end.

A reader that is told of a cancellation which is not its own must be noticed: pytest-trio passes a test that a cancellation leaves.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from statemachine import (
    AdapterProtocolError,
    AnswerStream,
    CallOptions,
    LeaseReleasedError,
    ModelEvictedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    StreamEvent,
    Transition,
    TruncatedStreamError,
)
from tests.contract.stored import stored_cancellation
from tests.contract.test_streams import (
    END,
    HI,
    TOKEN,
    Scripted,
    X,
    managed,
    slot,
    slow,
    whose_child_fails,
    with_a_deadline_that_passes,
)


class Rude(BaseException):
    """Such as a KeyboardInterrupt."""


async def all_of(stream: AnswerStream, pause: float = 0) -> list[object]:
    """Everything that a reader gets who waits for ``pause`` seconds after each event. An error is the last, even a cancellation."""
    seen: list[object] = []
    try:
        async for event in stream:
            seen.append(event)
            await trio.sleep(pause)
    except BaseException as error:
        seen.append(error)
    return seen


@pytest.mark.parametrize("pause", [0, 5])
async def test_r12_what_is_cancelled_while_nothing_is_asked_for_is_the_generators(
    autojump_clock: MockClock, pause: float
) -> None:
    async with managed(Scripted(with_a_deadline_that_passes)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await all_of(stream, pause) == [TOKEN, TOKEN, END]
    async with managed(Scripted(whose_child_fails)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            token, error = await all_of(stream, pause)
    assert token == TOKEN
    assert isinstance(error, ModelEvictedError)


async def test_r12_a_generator_sees_at_once_what_is_cancelled_while_nothing_is_asked_for(
    autojump_clock: MockClock,
) -> None:
    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        with trio.move_on_after(1):
            yield TOKEN
            raise AssertionError("it went on without having seen it")
        yield END

    async with managed(Scripted(generate)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await all_of(stream, pause=5) == [TOKEN, END]


async def test_r12_a_generator_may_go_on_inside_its_cancelled_scope(autojump_clock: MockClock) -> None:
    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        with trio.move_on_after(1):
            try:
                yield TOKEN
            except trio.Cancelled:
                yield TOKEN
        yield END

    async with managed(Scripted(generate)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await all_of(stream, pause=5) == [TOKEN, TOKEN, END]


async def test_r12_a_generator_that_nobody_reads_is_closed_and_not_cancelled(autojump_clock: MockClock) -> None:
    thrown: list[type[BaseException]] = []

    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        try:
            yield TOKEN
        except BaseException as error:
            thrown.append(type(error))
            raise

    async with managed(Scripted(generate)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            await anext(stream)
            stream.lease.release()
            await wait_all_tasks_blocked()
            assert thrown == [GeneratorExit]


async def test_r01_a_read_that_is_cancelled_ends_the_stream_before_it_returns(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = Scripted(slow)
    async with managed(adapter) as manager, ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
        with trio.move_on_after(1) as scope:
            await anext(stream)
        assert scope.cancelled_caught
        assert (adapter.ended, trio.current_time()) == ([4], 4), (
            "what it waited for was cancelled, and it has cleaned up"
        )
        assert stream.lease.released
        assert slot(manager) == "resident"
        (error,) = await all_of(stream)
        assert isinstance(error, trio.ClosedResourceError)
    assert caplog.records == []


async def test_r01_an_instance_that_is_found_broken_when_its_stream_is_cancelled_is_not_used_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise ModelEvictedError("gone") from None
        yield END

    async with managed(Scripted(generate)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            lease = repr(stream.lease)
            with trio.move_on_after(1):
                await anext(stream)
            await wait_all_tasks_blocked()
            assert slot(manager) == "vacant"
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"closing a stream of {lease} failed with ModelEvictedError"]


async def test_r01_a_stream_that_closes_itself_is_truncated(autojump_clock: MockClock) -> None:
    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        yield TOKEN
        raise GeneratorExit

    async with managed(Scripted(generate)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            token, error = await all_of(stream)
    assert token == TOKEN
    assert isinstance(error, TruncatedStreamError)
    assert str(error) == "the stream closed itself"


async def test_a_generator_that_goes_on_after_its_end_is_waited_for_as_long_as_the_docs_say(
    autojump_clock: MockClock,
) -> None:
    """docs/robustness.md."""

    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        yield END
        await trio.sleep_forever()

    async with managed(Scripted(generate)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await all_of(stream) == [END]
            assert trio.current_time() == 5


async def test_r09_a_reader_is_told_whose_cancellation_it_was(autojump_clock: MockClock) -> None:
    stored = await stored_cancellation()

    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        yield TOKEN
        raise stored

    async with managed(Scripted(generate)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            _, error = await all_of(stream)
    assert isinstance(error, AdapterProtocolError)
    assert str(error) == "Scripted.call() raised a cancellation that was not its own, such as a stored one"
    assert error.__cause__ is stored


class WithScope:
    """A stream that is no generator, and has a scope of its own open between its events. It is cancelled after the first one."""

    def __init__(self, *, goes_on: bool) -> None:
        self._scope = trio.CancelScope()
        self._goes_on = goes_on
        self._script = iter([TOKEN, TOKEN, END])

    def __aiter__(self) -> WithScope:
        return self

    async def __anext__(self) -> StreamEvent:
        event = next(self._script)
        if not self._scope.cancel_called:
            self._scope.__enter__()
            self._scope.cancel()
        elif self._goes_on:
            with suppress(trio.Cancelled):
                await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint()
        return event

    async def aclose(self) -> None:
        self._scope.__exit__(None, None, None)


@pytest.mark.parametrize("pause", [0, 5])
async def test_r12_a_stream_that_is_no_generator_sees_what_it_has_cancelled_and_may_go_on(
    autojump_clock: MockClock, pause: float
) -> None:
    async with managed(Scripted(lambda adapter: WithScope(goes_on=True))) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await all_of(stream, pause) == [TOKEN, TOKEN, END]


@pytest.mark.parametrize("pause", [0, 5])
async def test_r09_a_cancellation_in_a_scope_that_a_stream_leaves_open_is_its_own_fault(
    autojump_clock: MockClock, pause: float
) -> None:
    async with managed(Scripted(lambda adapter: WithScope(goes_on=False))) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            first, error = await all_of(stream, pause)
        assert first == TOKEN
        assert isinstance(error, AdapterProtocolError)


async def test_r12_a_release_ends_a_stream_whose_own_scope_is_cancelled(autojump_clock: MockClock) -> None:
    async with managed(Scripted(lambda adapter: WithScope(goes_on=True))) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            assert await anext(stream) == TOKEN
            await wait_all_tasks_blocked()
            stream.lease.release()
            await wait_all_tasks_blocked()
            assert not manager.outstanding().streams


def closing_with(error: BaseException) -> Callable[[Scripted], AsyncIterator[StreamEvent]]:
    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        try:
            yield TOKEN
        finally:
            raise error

    return generate


async def test_r05_what_must_not_be_lost_leaves_the_block_when_the_lease_is_free(autojump_clock: MockClock) -> None:
    """Such as a Ctrl-C that hits the adapter's clean-up."""
    async with managed(Scripted(closing_with(Rude()))) as manager:
        with pytest.raises(Rude):
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                await anext(stream)
        assert stream.lease.released
        assert slot(manager) == "resident"


async def test_r09_a_cancellation_that_a_clean_up_raises_is_only_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    left: list[BaseException | None] = []
    async with managed(Scripted(closing_with(await stored_cancellation()))) as manager:
        try:
            async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
                await anext(stream)
        except BaseException as error:
            left.append(error)
    assert left == []
    (record,) = caplog.records
    assert record.getMessage().endswith("failed with Cancelled")


async def test_r05_what_an_observer_raises_when_a_stream_ends_reaches_its_reader() -> None:
    def observer(change: Transition) -> None:
        if (change.machine, change.trigger) == ("request", "release"):
            raise Rude

    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        yield END

    config = ProviderManagerConfig([ProviderConfig("local", lambda config: Scripted(generate), is_local=True)])
    async with ProviderManager(config, observers=[observer]) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            (error,) = await all_of(stream)
            assert isinstance(error, Rude)
            assert slot(manager) == "resident"


async def test_r01_a_reader_is_told_which_lease_has_ended(autojump_clock: MockClock) -> None:
    async with managed(Scripted(slow)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            lease = repr(stream.lease)
            stream.lease.release()
            (error,) = await all_of(stream)
    assert isinstance(error, LeaseReleasedError)
    assert str(error) == f"{lease}: it ended before its stream"


async def test_an_error_that_a_reader_is_told_is_no_garbage(autojump_clock: MockClock) -> None:
    """As a refusal."""

    async def told(stream: AnswerStream) -> weakref.ref[Exception]:
        try:
            await anext(stream)
        except trio.ClosedResourceError as error:
            return weakref.ref(error)
        raise AssertionError("read")

    async with managed(Scripted(slow)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            await stream.close()
            gc.disable()
            try:
                error = await told(stream)
                await trio.lowlevel.checkpoint()  # trio remembers what it last handed to a task
                assert error() is None
            finally:
                gc.enable()


async def test_a_cancellation_around_the_manager_reaches_a_stream_only_through_the_manager(
    autojump_clock: MockClock,
) -> None:
    """The manager has not been told yet: its body is shielded."""
    done = trio.Event()

    async def own(task_status: trio.TaskStatus[tuple[ProviderManager, trio.CancelScope]]) -> None:
        with trio.CancelScope() as around:
            async with managed(Scripted(slow)) as manager:
                task_status.started((manager, around))
                with trio.CancelScope(shield=True):
                    await done.wait()

    async with trio.open_nursery() as nursery:
        manager, around = await nursery.start(own)
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            around.cancel()
            assert await all_of(stream) == [*[TOKEN] * 5, END]
        done.set()


# ---- a lease that is given back while its stream goes on ----


@pytest.mark.parametrize(("broken", "draining", "state"), [(False, 0, "resident"), (True, 1, "vacant")])
async def test_what_is_said_with_the_release_counts_before_the_stream_has_ended(
    autojump_clock: MockClock, broken: bool, draining: int, state: str
) -> None:
    """And what is said with a second one does not."""
    async with managed(Scripted(slow), parallel=2) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(all_of, stream)
            await trio.sleep(1)
            stream.lease.release(broken)
            stream.lease.release(broken=True)
            assert manager.statistics().providers["local"].draining == draining
            await wait_all_tasks_blocked()
            assert slot(manager) == "busy"
        await wait_all_tasks_blocked()
        assert slot(manager) == state


async def test_a_stream_that_finds_its_instance_broken_with_its_last_word_is_heard() -> None:
    """What a generator says of its lease is noted, as the manager reads it just then; the note must not come after the release."""
    streams: list[AnswerStream] = []

    async def generate(adapter: Scripted) -> AsyncIterator[StreamEvent]:
        yield END
        streams[0].lease.drain()

    async with managed(Scripted(generate)) as manager:
        async with ReasoningEngine(manager).call(HI, CallOptions(X)) as stream:
            streams.append(stream)
            assert await all_of(stream) == [END]
        await wait_all_tasks_blocked()
        assert slot(manager) == "vacant"
