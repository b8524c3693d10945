"""A journal conforms where it was written by a manager, and does not where a line was changed, left out or invented."""

from __future__ import annotations

import io
import json
import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from adapters import FakeAdapter
from statemachine import (
    CallOptions,
    ConfigurationError,
    Gated,
    JournalError,
    LocalProviderConflictError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
)
from statemachine.journal.verify import verify, verify_lines
from statemachine.journal.writer import Journal
from statemachine.policies import Bound, Fifo

PROMPT = [{"role": "user", "content": "hello"}]


def config(**settings: Any) -> ProviderManagerConfig:
    providers = [
        ProviderConfig("local", FakeAdapter, is_local=True, parallel=2, base_options={"load_seconds": 1.0}),
        ProviderConfig("cloud", FakeAdapter, limit=1, idle_timeout=5.0, base_options={"api_token": "planted-secret"}),
    ]
    return ProviderManagerConfig(providers, **{"on_conflict": "wait", **settings})


async def call(engine: ReasoningEngine, provider: str, model: str, agent: str, timeout: float) -> None:
    options = CallOptions(RuntimeProviderConfig(provider, model), agent=agent, timeout=timeout)
    with trio.move_on_after(20):
        try:
            async with engine.call(PROMPT, options) as stream:
                async for _ in stream:
                    await trio.sleep(0.3)
        except TimeoutError:
            return


async def program(journal: Journal, settings: dict[str, Any], calls: list[tuple[str, str, float]]) -> None:
    async with ProviderManager(config(**settings), core=journal.core) as manager:
        engine = ReasoningEngine(manager)
        async with trio.open_nursery() as nursery:
            for number, (provider, model, timeout) in enumerate(calls):
                nursery.start_soon(call, engine, provider, model, f"agent-{number % 3}", timeout)
        await trio.sleep(6)  # the idle one is evicted


def written(path: Path, calls: list[tuple[str, str, float]], **settings: Any) -> list[bytes]:
    with Journal(path) as journal:
        trio.run(program, journal, settings, calls, clock=trio.testing.MockClock(autojump_threshold=0))
    return path.read_bytes().splitlines(keepends=True)


CALLS = [
    ("local", "small", math.inf),
    ("local", "large", math.inf),
    ("cloud", "big", math.inf),
    ("local", "small", 0.5),
    ("cloud", "other", math.inf),
    ("local", "small", math.inf),
]


def test_what_a_manager_writes_conforms(tmp_path: Path) -> None:
    lines = written(tmp_path / "journal.jsonl", CALLS)
    verdict = verify([tmp_path / "journal.jsonl"])
    assert verdict.problem is None
    assert verdict.changes == len(lines) - 1
    said = {json.loads(line)["event"]["is"] for line in lines[1:]}
    assert {"Opened", "AcquireRequested", "Released", "Expired", "StartSucceeded", "Stopped", "CloseRequested"} <= said


async def parent_and_child(journal: Journal) -> None:
    async def child(manager: ProviderManager) -> None:
        with pytest.raises(LocalProviderConflictError):
            await manager.get_adapter(RuntimeProviderConfig("local", "b"))

    async with ProviderManager(config(), core=journal.core) as manager:
        async with manager.acquire(RuntimeProviderConfig("local", "a")), trio.open_nursery() as nursery:
            nursery.start_soon(child, manager)


def test_the_refusal_of_a_child_of_the_holder_conforms(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        trio.run(parent_and_child, journal, clock=trio.testing.MockClock(autojump_threshold=0))
    assert verify([path]).problem is None


def test_no_secret_and_no_text_is_written(tmp_path: Path) -> None:
    text = b"".join(written(tmp_path / "journal.jsonl", CALLS))
    assert b"planted" not in text
    assert b"hello" not in text


@pytest.mark.parametrize(
    "settings", [{"policy": Fifo}, {"policy": partial(Gated, 2)}, {"max_waiting": 1}, {"local_scope": "endpoint"}]
)
def test_other_configurations_conform_too(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = tmp_path / "journal.jsonl"

    async def refused_too() -> None:
        async with ProviderManager(config(**settings), core=journal.core) as manager:
            async with manager.acquire(RuntimeProviderConfig("local", "small")):
                with pytest.raises(LocalProviderConflictError):  # this very task holds the slot
                    await manager.get_adapter(RuntimeProviderConfig("local", "large"))

    with Journal(path) as journal:
        trio.run(refused_too, clock=trio.testing.MockClock(autojump_threshold=0))
    assert verify([path]).problem is None


def test_a_policy_without_a_name_has_to_be_named(tmp_path: Path) -> None:
    written(tmp_path / "journal.jsonl", CALLS, policy=lambda: Fifo())
    with pytest.raises(JournalError, match="policy"):
        verify([tmp_path / "journal.jsonl"])
    assert verify([tmp_path / "journal.jsonl"], policy="fifo").problem is None


@given(data=st.data())
def test_a_changed_line_does_not_conform(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    lines = _cached(tmp_path_factory)
    place = data.draw(st.integers(1, len(lines) - 1))
    row = json.loads(lines[place])
    how = data.draw(st.sampled_from(["drop an effect", "another instance", "twice", "grant"]))
    if how == "drop an effect" and row["effects"]:
        row["effects"].pop(data.draw(st.integers(0, len(row["effects"]) - 1)))
        changed = [*lines[:place], json.dumps(row).encode() + b"\n", *lines[place + 1 :]]
    elif how == "another instance" and row["event"].get("instance"):
        row["event"]["instance"] += 1
        row["effects"].append({"is": "StopInstance", "instance": 99})
        changed = [*lines[:place], json.dumps(row).encode() + b"\n", *lines[place + 1 :]]
    elif how == "twice" and row["event"]["is"] == "AcquireRequested":
        changed = [*lines[:place], lines[place], *lines[place:]]
    else:
        row["effects"].append({"is": "Grant", "ticket": 1, "instance": 1, "queued": 0.0, "loading": 0.0})
        changed = [*lines[:place], json.dumps(row).encode() + b"\n", *lines[place + 1 :]]
    assert not verify_lines(changed).conforms


_LINES: list[bytes] = []


def _cached(factory: pytest.TempPathFactory) -> list[bytes]:
    if not _LINES:
        _LINES.extend(written(factory.mktemp("journal") / "journal.jsonl", CALLS))
    return _LINES


def test_no_line_can_be_left_out_doubled_exchanged_or_put_back_in_time(tmp_path: Path) -> None:
    lines = written(tmp_path / "journal.jsonl", CALLS)
    early = json.dumps({**json.loads(lines[-1]), "t": 0}).encode() + b"\n"
    assert not verify_lines([*lines[:-1], early]).conforms
    for at in range(1, len(lines) - 1):
        left, right = lines[:at], lines[at + 1 :]
        assert not verify_lines([*left, *right]).conforms, "left out"
        assert not verify_lines([*left, lines[at], lines[at], *right]).conforms, "doubled"
        assert not verify_lines([*left, right[0], lines[at], *right[1:]]).conforms, "exchanged"


def test_the_first_change_that_does_not_conform_is_told_with_the_states_before(tmp_path: Path) -> None:
    lines = written(tmp_path / "journal.jsonl", CALLS)
    place = next(n for n, line in enumerate(lines) if b'"Released"' in line and b'"effects":[]' in line)
    row = json.loads(lines[place])
    row["event"]["broken"] = True
    verdict = verify_lines([*lines[:place], json.dumps(row).encode() + b"\n", *lines[place + 1 :]])
    assert verdict.problem is not None
    assert f"change {row['n']}" in verdict.problem
    assert verdict.changes == row["n"] - 1
    assert any(state.startswith("instance") for state in verdict.before)


def test_a_line_that_was_cut_off_is_told_apart(tmp_path: Path) -> None:
    lines = written(tmp_path / "journal.jsonl", CALLS)
    verdict = verify_lines([*lines[:-1], lines[-1][:-7]])
    assert verdict.conforms
    assert verdict.truncated


@pytest.mark.parametrize(
    "lines",
    [[], [b"{}\n"], [b"no\n"], [b"[]\n"], [b'{"journal": 1}\n'], [b'{"journal": 99}\n'], [b"[" * 100_000]],
    ids=["empty", "bare", "text", "list", "cut", "future", "deep"],
)
def test_what_is_no_journal_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(JournalError):
        verify_lines(lines)


ODD: list[Any] = [None, True, -1, 10**399, 1e308, "", "\x1b[31m\n", "9" * 5000, [], [[]], {}, {"signature": "s"}]


@given(data=st.data())
def test_r18_whatever_a_line_holds_the_error_is_a_typed_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = [json.loads(line) for line in _cached(tmp_path_factory)]
    row = place = rows[data.draw(st.integers(0, len(rows) - 1))]
    name = data.draw(st.sampled_from(sorted(row)))
    while isinstance(place[name], dict) and place[name] and data.draw(st.booleans()):
        place = place[name]
        name = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        place[name] = data.draw(st.sampled_from(ODD))
    else:
        del place[name]
    try:
        problem = verify_lines([json.dumps(row).encode() + b"\n" for row in rows]).problem
    except (ConfigurationError, JournalError) as error:
        problem = str(error)
    assert problem is None or (problem.isprintable() and len(problem) < 2000)


def test_files_are_rotated_and_verified_together(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, rotate_bytes=1500) as journal:
        trio.run(program, journal, {}, CALLS, clock=trio.testing.MockClock(autojump_threshold=0))
    parts = sorted(tmp_path.glob("journal.jsonl.*"), key=lambda part: int(part.suffix[1:]))
    assert parts
    assert all(part.stat().st_size <= 1500 for part in parts)
    assert verify([*parts, path]).problem is None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_ends_the_journal_and_not_the_manager(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with Journal(tmp_path / "full") as journal:
        assert journal._file is not None
        journal._file.close()
        journal._file = io.FileIO("/dev/full", "w")
        trio.run(program, journal, {}, CALLS[:2], clock=trio.testing.MockClock(autojump_threshold=0))
    assert [record.message for record in caplog.records if "journal ends" in record.message]


class Boaster(Gated):
    """Serves as the gated discipline does, and promises that no request is ever passed over."""

    def __init__(self) -> None:
        super().__init__()
        self.bound = Bound(passes=1, late=0)  # type: ignore[misc]  # what the policy promises


async def one_after_the_other(journal: Journal, models: str) -> None:
    """Calls that arrive in this order, while the first model is being loaded."""
    async with ProviderManager(config(), core=journal.core) as manager:
        engine = ReasoningEngine(manager)
        async with trio.open_nursery() as nursery:
            for number, model in enumerate(models):
                nursery.start_soon(call, engine, "local", model, f"agent-{number}", math.inf)
                await trio.sleep(0.01)


def test_a_policy_that_does_not_keep_its_bound_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        trio.run(one_after_the_other, journal, "abaaaab", clock=trio.testing.MockClock(autojump_threshold=0))
    assert verify([path]).conforms
    verdict = verify([path], policy=Boaster)
    assert verdict.problem is not None
    assert "policy_bound" in verdict.problem
    assert verdict.changes > 0
