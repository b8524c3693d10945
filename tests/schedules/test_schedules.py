"""The schedule explorer: what it finds, what it counts, and that the same line gives the same run."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio._core import _run as trio_run

from examples import lost_update
from statemachine.schedules import (
    NATURAL,
    PCT,
    Exhaustive,
    FewDeviations,
    Program,
    RandomWalk,
    ScheduleError,
    Strategy,
    Tape,
    Walk,
    explore,
    replay,
    run,
    running,
    seeded,
    seeding,
    selftest,
    switch,
    watch,
    why_not,
)
from statemachine.schedules.__main__ import main

from . import planted

ROOT = Path(__file__).parents[2]


async def steps(count: int) -> None:
    for _ in range(count):
        await trio.lowlevel.checkpoint()


def side_by_side(*counts: int) -> Program:
    """Tasks that give way ``counts`` times each."""

    async def program() -> None:
        async with trio.open_nursery() as nursery:
            for count in counts:
                nursery.start_soon(steps, count)

    return program


# ---- tapes ----


@given(st.dictionaries(st.integers(1, 1000), st.integers(0, 9)))
def test_a_tape_is_read_as_it_is_printed(deviations: dict[int, int]) -> None:
    tape = Tape(deviations.items())
    assert Tape.parse(str(tape)) == tape
    assert dict(tape) == {step: offset for step, offset in deviations.items() if offset}


@pytest.mark.parametrize("text", ["", "1", "1+", "0+1", "1+1,", "1-1"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"tape|counted"):
        Tape.parse(text)


@given(st.dictionaries(st.integers(1, 12), st.integers(1, 2)))
def test_a_drawn_tape_gives_a_run_whose_tape_gives_it_again(deviations: dict[int, int]) -> None:
    """This is how Hypothesis explores schedules: the tape is drawn before the run."""
    first = run(side_by_side(2, 1, 3), Tape(deviations.items()))
    assert run(side_by_side(2, 1, 3), first.tape) == first


# ---- exploring ----


@pytest.mark.parametrize(("counts", "interleavings"), [((1, 1), 6), ((2, 2), 20), ((3, 2), 35), ((1, 1, 1), 90)])
def test_exhaustive_runs_every_interleaving_once(counts: tuple[int, ...], interleavings: int) -> None:
    report = explore(side_by_side(*counts), Exhaustive())
    assert (report.runs, report.schedules, report.complete) == (interleavings, interleavings, True)


def test_pruning_finds_the_same_with_fewer_runs() -> None:
    class Outcomes:
        """Of a kind that is not looked into: what was found before is no part of the state."""

        def __init__(self) -> None:
            self.balances: set[int] = set()

    async def program(found: Outcomes, prune: bool) -> None:
        account = lost_update.Account()
        if prune:
            watch(state=lambda: account.balance)

        async def add() -> None:
            for _ in range(3):
                await account.add(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(add)
            nursery.start_soon(add)
        found.balances.add(account.balance)

    def outcomes(prune: bool) -> tuple[set[int], int]:
        found = Outcomes()
        report = explore(lambda: program(found, prune), Exhaustive())
        assert report.complete
        return found.balances, report.runs

    assert outcomes(prune=False) == ({3, 4, 5, 6}, 70)
    assert outcomes(prune=True) == ({3, 4, 5, 6}, 39)


def test_a_bound_that_is_hit_is_not_a_proof() -> None:
    assert not explore(side_by_side(2, 2), Exhaustive(most_runs=19)).complete
    assert not explore(side_by_side(2, 2), FewDeviations(2, most_runs=5)).complete
    assert not explore(side_by_side(9, 9), Exhaustive(most_runs=30), most_steps=20).complete
    assert not explore(side_by_side(1, 1), RandomWalk(10)).complete


def test_few_deviations_grow_to_all_schedules() -> None:
    counts = [explore(side_by_side(2, 2), FewDeviations(most)).schedules for most in range(5)]
    assert counts == sorted(set(counts))
    assert counts[0] == 1
    assert counts[-1] == 20


@pytest.mark.parametrize(
    "strategy", [RandomWalk(), PCT(), FewDeviations(3), Exhaustive()], ids=lambda s: type(s).__name__
)
def test_a_planted_schedule_is_found_shrunk_and_repeated_in_another_process(strategy: Strategy) -> None:
    report = explore(planted.program, strategy)
    assert report.failure is not None
    assert report.failure.at_run > 1, "the natural order shows nothing"
    assert report.failure.reproducible
    assert 1 <= len(report.failure.run.tape) <= 3
    with pytest.raises(ScheduleError, match="sold to ann and bob"):
        report.raise_if_failed()
    command = report.failure.line.split()
    assert command == [
        "python",
        "-m",
        "statemachine.schedules",
        "tests.schedules.planted:program",
        str(report.failure.run.tape),
    ]
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, *command[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONHASHSEED": seed},
        )
        assert done.returncode == 1
        assert str(report.failure.run) in done.stdout


def test_the_example_finds_its_lost_update() -> None:
    report = explore(lost_update.program, Exhaustive())
    assert report.failure is not None
    assert str(report.failure.run.tape) == "1+1"
    assert "the balance is 2, not 3" in str(report)


def test_a_strategy_is_the_same_for_the_same_seed() -> None:
    def tapes(strategy: Strategy) -> list[Tape]:
        found = []
        schedules = strategy.schedules()
        schedule = next(schedules)
        for _ in range(20):
            done = run(side_by_side(3, 3, 3), schedule)
            found.append(done.tape)
            schedule = schedules.send(done)
        return found

    for make in (RandomWalk, PCT):
        assert tapes(make(30, seed=1)) == tapes(make(30, seed=1)) != tapes(make(30, seed=2))


# ---- what never ends ----


def test_a_deadlock_is_told_even_where_it_is_shielded() -> None:
    async def waits_for_ever() -> None:
        with trio.CancelScope(shield=True):
            await trio.Event().wait()

    async def program() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits_for_ever)
            await trio.sleep(1)

    done = replay(program, "natural")
    assert (done.outcome, done.stuck) == ("deadlock", ("main #0", "waits_for_ever #1"))


def test_a_deadlock_of_some_schedules_is_found() -> None:
    async def program() -> None:
        locks = trio.Lock(), trio.Lock()

        async def take(first: int, second: int) -> None:
            async with locks[first], locks[second]:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, 0, 1)
            await steps(6)
            nursery.start_soon(take, 1, 0)

    report = explore(program, RandomWalk())
    assert report.failure is not None
    assert report.failure.run.outcome == "deadlock"
    assert report.failure.at_run > 1


def test_a_livelock_is_told() -> None:
    async def program() -> None:
        await steps(10**9)

    assert replay(program, "natural", most_steps=500).outcome == "livelock"


def test_who_waits_actively_for_others_is_no_livelock_under_any_strategy() -> None:
    async def program() -> None:
        done = False

        async def work() -> None:
            nonlocal done
            await steps(3)
            done = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            while not done:
                await trio.lowlevel.checkpoint()

    for strategy in (RandomWalk(50), PCT(50)):
        assert explore(program, strategy, most_steps=200).failure is None


def test_a_task_that_takes_every_exception_is_ended_all_the_same() -> None:
    """By giving up the whole run, which leaves tasks behind: hence a process of its own."""
    command = ["-m", "statemachine.schedules", "tests.schedules.planted:stubborn", "natural", "--most-steps", "100"]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "livelock: main #0\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tests.schedules.planted:nosuch", "natural"], "program: must be an async function"),
        (["tests.schedules.planted:stubborn", "1+"], "schedule: must be a tape"),
        (["tests.schedules.planted:stubborn", "natural", "--most-steps", "0"], "--most-steps: must be an integer"),
    ],
)
def test_the_command_tells_what_is_wrong_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {message}")
    assert told.count("\n") == 1


# ---- checks ----


def test_a_check_is_made_after_every_step() -> None:
    """It sees what no task of the program is there to see."""

    async def program() -> None:
        inside = 0

        def check() -> None:
            assert inside < 2, "two are inside"

        async def enter(delay: int) -> None:
            nonlocal inside
            await steps(delay)
            inside += 1
            await trio.lowlevel.checkpoint()
            inside -= 1

        watch(check=check)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter, 0)
            nursery.start_soon(enter, 2)

    report = explore(program, FewDeviations(2))
    assert report.failure is not None
    assert report.failure.run.outcome == "violation"
    assert 1 <= len(report.failure.run.tape) <= 2


def test_watching_is_of_no_effect_elsewhere() -> None:
    async def program() -> None:
        watch(check=lambda: 1 / 0)

    trio.run(program)


# ---- determinism ----


async def crowded(log: list[str]) -> None:
    """Many equal deadlines, and cancellations of many: what depends on addresses under trio's own scheduler."""

    async def waits(name: str, seconds: float) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            log.append(name)
            return trio.lowlevel.Abort.SUCCEEDED

        with trio.move_on_after(seconds):
            await trio.lowlevel.wait_task_rescheduled(abort)
        log.append(f"{name} woke")

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(waits, f"{number}", 1 + number % 2)
            nursery.start_soon(waits, f"{number} for ever", float("inf"))
        await trio.sleep(5)
        nursery.cancel_scope.cancel()


def test_the_same_tape_gives_the_same_run_whatever_the_addresses() -> None:
    logs: list[list[str]] = []
    in_the_way: list[object] = []
    for _ in range(5):
        log: list[str] = []
        run(partial(crowded, log), Walk("a"))
        logs.append(log)
        in_the_way.append([object() for _ in range(1000)])
    assert all(log == logs[0] for log in logs)
    assert len(logs[0]) == 120


def test_seeded_runs_are_the_same_whatever_the_addresses() -> None:
    def logged(seed: int | None) -> list[str]:
        log: list[str] = []
        with seeded(seed):
            trio.run(crowded, log, clock=trio.testing.MockClock(autojump_threshold=0))
        return log

    assert logged(1) == logged(1) != logged(2)
    assert logged(None) == logged(None)


def test_what_is_not_under_control_is_told() -> None:
    runs = 0

    async def program() -> None:
        nonlocal runs
        runs += 1
        assert runs != 3

    report = explore(program, RandomWalk(10))
    assert report.failure is not None
    assert not report.failure.reproducible
    assert "not under control" in str(report)


# ---- other versions of trio ----


def test_this_trio_is_supported() -> None:
    assert why_not() is None


def test_a_different_trio_is_noticed_and_only_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "_RANDOM", "renamed")
    monkeypatch.setitem(switch._INTERNALS, "renamed", None)
    reason = selftest.why_not.__wrapped__()
    assert reason is not None
    monkeypatch.setattr(running, "why_not", lambda: reason)
    with pytest.warns(RuntimeWarning, match="only seeded, not controlled: trio"):
        report = explore(lost_update.program, RandomWalk(20))
    assert not report.controlled
    assert not report.complete


@pytest.mark.parametrize(
    ("owner", "name"), [(switch, "_INTERNALS"), (switch, "_run"), (trio_run, "Task"), (trio_run, "CancelStatus")]
)
def test_a_trio_without_the_parts_that_are_needed_is_noticed_and_not_locked_out(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    """``seeded`` asks first, falls back with a warning, and everything works again afterwards."""
    with monkeypatch.context() as patched:
        if name == "_INTERNALS":
            patched.setattr(owner, name, {})
        elif name == "_run":
            patched.setattr(owner, name, None)
        else:
            patched.delattr(owner, name)
        reason = selftest.why_not.__wrapped__()
        assert reason is not None
        patched.setattr(seeding, "why_not", lambda: reason)
        with pytest.warns(RuntimeWarning, match="only seeded, not controlled"), seeded(3):
            pass
        for _ in range(2):
            with pytest.raises(RuntimeError, match="this trio has no"), switch.shuffled_by(3):
                raise AssertionError("entered")
    with seeded(3):
        assert trio.run(trio.sleep, 0) is None
    assert selftest.why_not.__wrapped__() is None


def test_a_trio_that_does_not_sort_by_number_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch, "_numbering", lambda known, numbers, thread, usual: usual)
    assert selftest.why_not.__wrapped__() is not None


def test_a_seed_is_printed_where_there_is_no_tape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "why_not", lambda: "for a test")

    with pytest.warns(RuntimeWarning, match="for a test"):
        report = explore(always_fails, RandomWalk(20))
    assert report.failure is not None
    assert report.failure.line.endswith("test_schedules:always_fails seed:0")
    with pytest.warns(RuntimeWarning, match="for a test"):
        assert replay(always_fails, "seed:0").outcome == "error"


async def always_fails() -> None:
    raise KeyError


def test_one_run_at_a_time_is_controlled() -> None:
    async def program() -> None:
        with pytest.raises(RuntimeError, match="one run at a time"):
            run(program, NATURAL)

    run(program, NATURAL).raise_if_failed()
