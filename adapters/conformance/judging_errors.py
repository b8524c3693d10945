"""Judges of failures: that they are told, of the right kind, in time, and without secrets."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from statemachine.errors import (
    AdapterBusyError,
    AdapterError,
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
)

from .faults import FAULTS
from .judging_life import named
from .phases import takes_calls
from .program import Start
from .trace import CallRun, OperationRun, ProgramRun

__all__ = [
    "broken_stream_is_error",
    "cause_not_invented",
    "error_body_is_error",
    "errors_pickle",
    "errors_say_retry",
    "errors_typed",
    "eviction_is_broken",
    "secrets_hidden",
    "timeouts_kept",
]

_BROKEN = ("cut", "truncated", "gone", "evicted")
_REPORTED = ("error_body", "error_in_stream", "busy", "refused", "unauthorised", "denied")
_SILENT = ("silent", "stalled")
_UNKNOWN = ("error_body", "error_in_stream")  # what they say is the server's own affair


def _hit(run: ProgramRun, names: tuple[str, ...]) -> Iterator[tuple[OperationRun, CallRun]]:
    """Yield the calls that were read to their end while the server did wrong in one of these ways."""
    for step, answer in run.answers:
        if step.fault in names and takes_calls(run, step) and answer.ended == "read" and not step.cancels:
            yield step, answer


def _ends_in_failure(run: ProgramRun, names: tuple[str, ...]) -> Iterator[str | None]:
    for step, answer in _hit(run, names):
        yield f"a stream ends well though {_what(step)}" if answer.failure is None else None
    for step, answer in run.answers:
        if answer.ended == "overdue" and step.fault in names and takes_calls(run, step):
            yield f"a call never ends though {_what(step)}"


def broken_stream_is_error(run: ProgramRun) -> Iterator[str | None]:
    yield from _ends_in_failure(run, _BROKEN)


def error_body_is_error(run: ProgramRun) -> Iterator[str | None]:
    yield from _ends_in_failure(run, _REPORTED)


def _what(step: OperationRun) -> str:
    return FAULTS[step.fault].sentence if step.fault is not None else "nothing is wrong"


def errors_typed(run: ProgramRun) -> Iterator[str | None]:
    """Judge the types of errors. Where no call is promised an answer, other rules say what is wrong."""
    for step in run.steps:
        judged = takes_calls(run, step) or isinstance(step.operation, Start)
        for error in (step.error, *(answer.error or answer.failure for answer in step.answers)):
            fault = None if error is None else _untyped(error)
            if error is not None and (judged or fault is None):
                yield fault


def _untyped(error: BaseException) -> str | None:
    if isinstance(error, (AdapterError, ConfigurationError)):
        return None
    return f"{named(error)} is no AdapterError"


def errors_say_retry(run: ProgramRun) -> Iterator[str | None]:
    for step, answer in _hit(run, tuple(FAULTS)):
        expected = FAULTS[step.fault].retryable if step.fault is not None else None
        if expected is None or not isinstance(answer.failure, AdapterError):
            continue
        wrong = answer.failure.retryable is not expected
        yield f"{named(answer.failure)} says retryable={not expected}, though {_what(step)}" if wrong else None


def errors_pickle(run: ProgramRun) -> Iterator[str | None]:
    for step in run.steps:
        for error in step.failures:
            if isinstance(error, AdapterError):
                yield _pickle_fault(error)


def _pickle_fault(error: AdapterError) -> str | None:
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception as problem:
        return f"{type(error).__name__} cannot be pickled: {named(problem)}"
    same = type(again) is type(error) and str(again) == str(error) and again.retryable == error.retryable
    return None if same else f"{type(error).__name__} is another error after pickle"


_CAUSES: Final[Mapping[type[AdapterError], Collection[str]]] = {
    ModelEvictedError: ("evicted",),
    AuthenticationError: ("unauthorised", *_UNKNOWN),
    AdapterBusyError: ("busy", *_UNKNOWN),
    ContextLengthError: ("refused", *_UNKNOWN),
    ModelNotFoundError: ("denied", "evicted", *_UNKNOWN),
    ModelLoadError: ("evicted", *_UNKNOWN),
}
"""What may be the cause of such an error, of the faults that the back door plants."""


def cause_not_invented(run: ProgramRun) -> Iterator[str | None]:
    for step, answer in _hit(run, tuple(FAULTS)):
        if answer.failure is not None:
            causes = (kind for kind, faults in _CAUSES.items() if step.fault not in faults)
            invented = next((kind for kind in causes if isinstance(answer.failure, kind)), None)
            text = f"{named(answer.failure)} is reported, though only this is wrong: {_what(step)}"
            yield None if invented is None else text


def eviction_is_broken(run: ProgramRun) -> Iterator[str | None]:
    for _, answer in _hit(run, ("evicted",)):
        if isinstance(answer.failure, AdapterError):
            text = f"{named(answer.failure)} says broken=False, though the model is gone"
            yield None if answer.failure.broken is True else text


def timeouts_kept(run: ProgramRun) -> Iterator[str | None]:
    most = run.capabilities.silence_seconds or 0
    for step in run.steps:
        if step.cancels:
            continue
        if isinstance(step.operation, Start) and step.fault == "load_silent" and step.phase == "new":
            yield f"start is not over {most:g} s after the server has fallen silent" if step.overdue else None
        for answer in step.answers if step.fault in _SILENT and takes_calls(run, step) else ():
            if answer.call.read is None:
                late = answer.ended == "overdue" or _waited(answer) > 1.5 * most + 2
                yield f"a call is not over {most:g} s after the server has fallen silent" if late else None


def _waited(answer: CallRun) -> float:
    """Return the seconds that were not the reader's own."""
    return answer.seconds - answer.call.linger - answer.call.pause * len(answer.events)


def secrets_hidden(run: ProgramRun) -> Iterator[str | None]:
    shown = [("a repr or a log", text) for text in run.shown]
    for step in run.steps:
        shown += [("an error", text) for error in step.failures for text in _texts(error)]
        shown += [("an event", repr(event)) for answer in step.answers for event in answer.events]
    for where, text in shown:
        yield f"{where} shows a credential" if any(secret in text for secret in run.secrets) else None


def _texts(error: BaseException) -> Iterator[str]:
    yield repr(error)
    yield "".join(traceback.format_exception(error))
    try:
        yield pickle.dumps(error).decode("latin-1")
    except Exception:  # another rule looks at it
        return
