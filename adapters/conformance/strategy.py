"""Which programs are run: the plain ones first, a cancellation at every step, then what Hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from hypothesis import strategies as st

from .faults import CALL_FAULTS, SHUTDOWN_FAULTS, START_FAULTS
from .program import Agents, Call, Operation, Program, Shutdown, Start, Together, Visit
from .subject import Subject

__all__ = ["drawn_programs", "plain_programs", "sweeps"]

MOST_TOGETHER: Final = 200
MOST_CANCELLATIONS: Final = 60
LONG_WORDS: Final = 200


def plain_programs(subject: Subject) -> Iterator[Program]:
    """Yield a short program for each rule, so that none depends on luck."""
    yield (Start(), Call())
    yield (Agents(((Visit(0), Visit(1), Visit(0)), (Visit(1), Visit(0, read=1)))),)
    yield (Start(), Call(words=0))
    yield (Start(), Call(stream=False), Call(words=5, stream=False))
    yield (Start(), Start(), Call())
    yield (Call(),)
    yield (Shutdown(),)
    yield (Start(), Shutdown(), Shutdown())
    yield (Start(), Shutdown(), Call())
    yield (Start(), *([Call(read=1)] * 4), Call())
    yield (Start(), *(Call(words=LONG_WORDS, deadline=_moment(subject)),) * 2, Call())
    yield (Start(deadline=_moment(subject)), Shutdown())
    yield from _by_capability(subject)
    yield from _by_fault(subject)


def _by_capability(subject: Subject) -> Iterator[Program]:
    capabilities = subject.capabilities
    if capabilities.tool_calls:
        yield (Start(), Call(tools=True), Call(tools=True, stream=False))
    if capabilities.parallel > 1:
        at_once = min(capabilities.parallel, MOST_TOGETHER)
        yield (Start(), Together(tuple(Call(words=2 + number % 3) for number in range(at_once)), hold=True))
        yield (Start(), Together((Call(words=1), Call(words=4, pause=_pause(subject)))))
        yield (Start(), Together((Call(read=1), Call(words=4))), Call())
    if type(subject).heard is not Subject.heard:
        yield (Start(), Call(earlier=True), Call(earlier=True, stream=False))
    if capabilities.buffer_pieces is not None:
        yield (Start(), Call(words=LONG_WORDS, read=1))
        yield (Start(), Call(words=LONG_WORDS, linger=60.0 if capabilities.deterministic_clock else 0.5))


def _pause(subject: Subject) -> float:
    return 0.5 if subject.capabilities.deterministic_clock else 0.01


def _moment(subject: Subject) -> float:
    """Return a time, in seconds, in the midst of what a server does."""
    return 1.0 if subject.capabilities.deterministic_clock else 0.05


def _by_fault(subject: Subject) -> Iterator[Program]:
    faults = subject.server_faults()
    for name in START_FAULTS:
        if name in faults:
            yield (Start(fault=name), Shutdown())
            yield (Start(fault=name, deadline=_moment(subject)), Shutdown())
    for name in CALL_FAULTS:
        if name in faults:
            yield (Start(), Call(fault=name), Call())
            yield (Start(), Call(fault=name, deadline=_moment(subject)), Call())
            yield (Start(), Call(fault=name, stream=False))
    for name in SHUTDOWN_FAULTS:
        if name in faults:
            yield (Start(), Shutdown(fault=name))


def sweeps() -> Iterator[Callable[[int], Program]]:
    """Yield programs by the step at which one operation is cancelled."""
    yield lambda step: (Start(cancel_at=step), Shutdown())
    yield lambda step: (Start(), Call(cancel_at=step), Call())
    yield lambda step: (Start(), Shutdown(cancel_at=step))


def drawn_programs(subject: Subject) -> st.SearchStrategy[Program]:
    """Draw programs of up to six operations in any order."""
    single = st.one_of(
        _starts(subject), _calls(subject), _calls(subject), _calls(subject), *_together(subject), _shutdowns(subject)
    )
    usual = st.lists(single, max_size=5).map(lambda operations: (Start(), *operations))
    free = st.lists(single, min_size=1, max_size=4).map(tuple)
    return st.one_of(usual, usual, usual, free, _agents())


def _cancels() -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), st.none(), st.integers(0, MOST_CANCELLATIONS))


def _deadlines(subject: Subject) -> st.SearchStrategy[float | None]:
    return st.sampled_from([None, None, None, _moment(subject)])


def _fault(subject: Subject, names: tuple[str, ...]) -> st.SearchStrategy[str | None]:
    faults = subject.server_faults()
    return st.sampled_from([None, None, *(name for name in names if name in faults)])


def _starts(subject: Subject) -> st.SearchStrategy[Operation]:
    return st.builds(Start, fault=_fault(subject, START_FAULTS), cancel_at=_cancels(), deadline=_deadlines(subject))


def _shutdowns(subject: Subject) -> st.SearchStrategy[Operation]:
    return st.builds(Shutdown, fault=_fault(subject, SHUTDOWN_FAULTS), cancel_at=_cancels())


def _reads() -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), st.integers(1, 4))


def _calls(subject: Subject) -> st.SearchStrategy[Call]:
    return st.builds(
        Call,
        words=st.integers(0, 6),
        read=_reads(),
        pause=st.sampled_from([0.0, _pause(subject)]),
        fault=_fault(subject, CALL_FAULTS),
        cancel_at=_cancels(),
        tools=st.booleans() if subject.capabilities.tool_calls else st.just(False),
        stream=st.booleans(),
        deadline=_deadlines(subject),
    )


def _together(subject: Subject) -> list[st.SearchStrategy[Operation]]:
    most = min(subject.capabilities.parallel, 4)
    if most < 2:
        return []
    call = st.builds(Call, words=st.integers(0, 6), read=_reads(), pause=st.sampled_from([0.0, _pause(subject)]))
    calls = st.lists(call, min_size=2, max_size=most).map(tuple)
    return [st.builds(Together, calls=calls, hold=st.booleans())]


def _agents() -> st.SearchStrategy[Program]:
    visit = st.builds(Visit, model=st.integers(0, 1), words=st.integers(0, 4), read=_reads())
    agent = st.lists(visit, min_size=1, max_size=3).map(tuple)
    return st.lists(agent, min_size=1, max_size=3).map(lambda agents: (Agents(tuple(agents)),))
