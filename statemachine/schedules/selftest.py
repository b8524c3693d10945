"""Test whether this trio can be controlled, once in a process, by trying everything that :mod:`.switch` does."""

from __future__ import annotations

from functools import cache

import trio

from .switch import chosen_by, interrupt

__all__ = ["why_not"]


@cache
def why_not() -> str | None:
    """Return None if the schedules of the installed trio can be controlled, else what went wrong. The first call takes milliseconds."""
    try:
        _a_chosen_task_runs_alone()
        _equal_deadlines_and_cancellations_come_in_order()
        _a_task_is_interrupted()
    except Exception as error:
        return f"trio {trio.__version__}: {type(error).__name__}: {error}"
    return None


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise RuntimeError(f"expected {expected}, found {found}")


def _a_chosen_task_runs_alone() -> None:
    """Run three tasks of three steps in an order that no order of whole batches gives. Raises RuntimeError."""
    wanted = "abbcacabc"
    steps: list[str] = []

    async def three_steps(name: str) -> None:
        for last in (False, False, True):
            steps.append(name)
            if not last:
                await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(three_steps, name, name=name)

    def choose(ready: list[trio.lowlevel.Task]) -> trio.lowlevel.Task:
        by_name = {task.name: task for task in ready if task.name in "abc"}
        others = [task for task in ready if task.name not in by_name]
        return others[0] if others else by_name[wanted[len(steps)]]

    with chosen_by(choose):
        trio.run(main)
    _expect("".join(steps), wanted)


def _equal_deadlines_and_cancellations_come_in_order() -> None:
    """Check that deadlines expire in the order in which they were set, and a cancellation reaches tasks in the same order in every run."""
    in_the_way: list[object] = []  # so that the second run has other addresses
    first, second = _heard_of(in_the_way), _heard_of(in_the_way)
    _expect(first[:_MANY], list(range(_MANY)))
    _expect(second, first)


_MANY = 20


def _heard_of(tasks: list[object]) -> list[int]:
    """Return the order in which tasks are woken by equal deadlines, and then by one cancellation."""
    from trio.testing import MockClock  # not at the top: it imports pytest, where that is installed

    heard: list[int] = []

    async def waits(number: int, deadline: float) -> None:
        def abort(_: object) -> trio.lowlevel.Abort:
            heard.append(number)
            return trio.lowlevel.Abort.SUCCEEDED

        tasks.append(trio.lowlevel.current_task())
        with trio.CancelScope(deadline=deadline):
            await trio.lowlevel.wait_task_rescheduled(abort)

    async def main() -> None:
        for deadline in (1.0, float("inf")):
            async with trio.open_nursery() as nursery:
                for number in range(_MANY):
                    nursery.start_soon(waits, number, deadline)
                await trio.sleep(2)
                nursery.cancel_scope.cancel()

    with chosen_by(lambda ready: ready[0]):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    return heard


def _a_task_is_interrupted() -> None:
    """Interrupt a task that waits in a shield, and one that is ready."""
    from trio.testing import MockClock, wait_all_tasks_blocked

    class Interrupted(BaseException):
        pass

    heard: list[str] = []

    async def waits(event: trio.Event) -> None:
        try:
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await event.wait()
        except Interrupted:
            heard.append(trio.lowlevel.current_task().name)

    async def main() -> None:
        event = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits, trio.Event(), name="waiting")
            nursery.start_soon(waits, event, name="ready")
            await wait_all_tasks_blocked()
            event.set()
            for task in sorted(nursery.child_tasks, key=lambda task: task.name):
                _expect(interrupt(task, Interrupted()), True)

    with chosen_by(lambda ready: ready[0]):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    _expect(sorted(heard), ["ready", "waiting"])
