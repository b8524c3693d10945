"""What refusals say, word by word: it is what users read when something is wrong."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import MockClock

from adapters import FakeAdapter
from statemachine import (
    AdapterInstantiationError,
    ManagerClosedError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ProviderManagerError,
)
from statemachine.core.events import Cause, Reject
from statemachine.errors import (
    AcquireTimeoutError,
    ContentionError,
    LocalInstanceBusyError,
    LocalProviderConflictError,
    ProviderLimitError,
    QueueFullError,
)
from statemachine.manager.refusal import refusal
from tests.contract.recording import Recorder, Script, local_manager, spawn, want

CONFIG = ProviderManagerConfig([ProviderConfig("local", FakeAdapter, is_local=True)])
X, Y = CONFIG.resolve(want("local", "x")), CONFIG.resolve(want("local", "y"))

ON_LIMIT = '; on_limit="wait" would queue the request'
ON_CONFLICT = '; on_conflict="wait" would queue the request'


@pytest.mark.parametrize(
    ("cause", "kind", "text"),
    [
        (Cause.LIMIT, ProviderLimitError, "all 3 instances of 'local' are in use" + ON_LIMIT),
        (Cause.QUEUE_FULL, QueueFullError, f"the queue for {X} is full: max_waiting is 3"),
        (Cause.CONFLICT, LocalProviderConflictError, f"cannot use {X} while {Y} holds the local slot" + ON_CONFLICT),
        (Cause.BUSY, LocalInstanceBusyError, f"{X} is in use, with all the leases that it takes" + ON_CONFLICT),
        (Cause.TIMED_OUT, AcquireTimeoutError, f"{X} was not granted within 1.23 s"),
    ],
)
def test_who_asks_for_what_others_hold_is_told_what_they_hold(
    cause: Cause, kind: type[ContentionError], text: str
) -> None:
    error = refusal(Reject(1, X, cause, 1.2345, holder=Y, limit=3), None)
    assert type(error) is kind
    assert str(error) == text
    assert isinstance(error, ContentionError)
    assert (error.requested, error.holder, error.limit, error.waited) == (str(X), str(Y), 3, 1.2345)


@pytest.mark.parametrize(("cause", "held"), [(Cause.LIMIT, "2 of them"), (Cause.CONFLICT, "it"), (Cause.BUSY, "it")])
def test_a_task_that_holds_what_it_asks_for_is_told_so(cause: Cause, held: str) -> None:
    error = refusal(Reject(1, X, cause, 0.0, holder=Y, limit=2, own=2), None)
    assert str(error).endswith(f"; you hold {held}: this task has to release its own lease first")


async def test_the_numbers_that_were_reached_are_told(autojump_clock: MockClock) -> None:
    config = ProviderManagerConfig([ProviderConfig("api", FakeAdapter, limit=2)], max_waiting=0)
    async with ProviderManager(config) as manager:
        leases = [await manager.get_adapter(want("api", model)) for model in "ab"]
        with pytest.raises(ProviderLimitError, match="all 2 instances of 'api' are in use; you hold 2 of them") as own:
            await manager.get_adapter(want("api", "c"))
        assert own.value.limit == 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_find_the_queue_full, manager)
        for lease in leases:
            lease.release()


async def _find_the_queue_full(manager: ProviderManager) -> None:
    with pytest.raises(QueueFullError, match="max_waiting is 0") as full:
        await manager.get_adapter(want("api", "d"))
    assert full.value.limit == 0


def test_no_holder_in_particular_may_be_in_the_way() -> None:
    error = refusal(Reject(1, X, Cause.CONFLICT, 0.0), None)
    assert isinstance(error, LocalProviderConflictError)
    assert str(error) == f"cannot use {X} while another task holds the local slot" + ON_CONFLICT
    assert (error.holder, error.limit) == (None, None)


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (Cause.START_FAILED, "it failed with OSError: no *** for the ***, says \\x9b\\x1b[31m"),
        (Cause.START_OVERDUE, "its start was overdue"),
    ],
)
def test_n05_a_start_that_failed_says_why_without_what_was_given_as_options(cause: Cause, text: str) -> None:
    options = {"key": "hunter2", "headers": {"list": ["hunter2-long"]}, "n": 3}
    mine = OSError("no hunter2-long\nfor the hunter2, says \x9b\x1b[31m")
    demand = CONFIG.resolve(want("local", "x", **options))
    error = refusal(Reject(1, demand, cause, 0.0), mine)
    assert isinstance(error, AdapterInstantiationError)
    assert str(error) == f"{demand} could not be started: {text}"
    assert error.requested == str(demand)
    if cause is Cause.START_FAILED:
        assert error.__cause__ is mine
    else:
        assert isinstance(error.__cause__, TimeoutError)
        assert str(error.__cause__) == "the start was overdue"


def test_the_manager_closed_before() -> None:
    error: ProviderManagerError = refusal(Reject(1, X, Cause.CLOSED, 0.0), None)
    assert isinstance(error, ManagerClosedError)
    assert str(error) == f"the manager closed before {X} was granted"


@pytest.mark.parametrize(
    ("said", "told"),
    [("in abcd abc", ": in *** abc"), ("in abcdef", ": in ***"), ("in a-abcdef-e", ": in ***"), ("", "")],
    ids=["short", "long", "another in it", "none"],
)
async def test_texts_of_four_letters_and_more_may_be_secrets(said: str, told: str) -> None:
    async with local_manager(Recorder(x=Script(start_error=OSError(said)))) as manager:
        with pytest.raises(AdapterInstantiationError) as caught:
            await manager.get_adapter(want("local", "x", a="abcd", b="abc", c="abcdef", d="a-abcdef-e"))
    assert re.search(rf"it failed with OSError{re.escape(told)}($|\.|;|,| \()", str(caught.value)), str(caught.value)


async def test_a_slot_that_is_being_emptied_for_another_is_held_by_those_who_wait_for_that(
    autojump_clock: MockClock,
) -> None:
    recorder = Recorder(x=Script(unload=3))
    async with local_manager(recorder) as manager, trio.open_nursery() as nursery:
        async with manager.acquire(want("local", "x"), agent="ann"):
            pass
        await spawn(nursery, manager, want("local", "y"), agent="bob")
        with pytest.raises(LocalProviderConflictError) as caught:
            await manager.get_adapter(want("local", "z"))
        assert (caught.value.holder, caught.value.agents) == (str(Y), ("bob",))
