"""The rules, each with its reason and its source. A rule's id never changes; a rule that turns out to be wrong is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from . import judging_calls as calls
from . import judging_errors as errors
from . import judging_life as life
from .subject import Subject
from .trace import METHODS, ProgramRun

__all__ = ["RULES", "RULES_BY_ID", "Finding", "Judge", "Rule", "why_skipped"]

Finding: TypeAlias = str | None
"""None: something was looked at, and is as it should be. Text: what is wrong."""

Judge: TypeAlias = Callable[[ProgramRun], Iterable[Finding]]
"""Looks at one run. No finding at all means that the run says nothing about the rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``needs`` are capabilities that must be declared; ``faults`` are those of which the back door must plant one; ``sees`` are the
    parts of the back door that must tell something. ``after``: the rules that must be kept before a failure of this one says anything
    of its own. ``unseen``: why a subject with nothing of ``shown_by``
    (capabilities, parts of the back door) may show nothing about it."""

    id: str
    sentence: str
    severity: Literal["must", "should"]
    reason: str
    source: str
    judge: Judge
    needs: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    sees: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    unseen: str = ""
    shown_by: tuple[str, ...] = ()


def why_skipped(rule: Rule, subject: Subject, seen: frozenset[str]) -> str | None:
    """Why the rule cannot be applied to the subject, or None. ``seen``: the parts of the back door that tell something."""
    for need in rule.needs:
        value = getattr(subject.capabilities, need)
        if need == "parallel" and value < 2:
            return "one call at a time is declared (parallel)"
        if not value:
            return f"not declared: {need}"
    if rule.faults and not set(rule.faults) & set(subject.server_faults()):
        return f"the back door plants none of: {', '.join(rule.faults)}"
    for part in rule.sees:
        if part not in seen:
            return f"the adapter has no {part}" if part in METHODS else f"the back door does not tell: {part}"
    return None


_PROTOCOL: Final = "statemachine/config/adapter.py"
_EVENTS: Final = "statemachine/config/call.py"
_WORKER: Final = "statemachine/manager/worker.py"
_ERRORS: Final = "statemachine/errors.py"

_OF_ONE_ADAPTER: Final = (
    Rule(
        "construct-no-effect",
        "Construction has no side effect: no task, no socket, no request, nothing loaded.",
        "must",
        "An adapter that is constructed and given up on before its start has no other owner that shuts it down.",
        _WORKER,
        life.construct_no_effect,
    ),
    Rule(
        "start-succeeds",
        "On a healthy server, start succeeds.",
        "must",
        "Everything else depends on it.",
        _PROTOCOL,
        life.start_succeeds,
        sees=("start",),
        after=("no-busy-wait",),
    ),
    Rule(
        "start-idempotent",
        "A second start changes nothing and raises nothing.",
        "must",
        "A load is not idempotent on every server: each one may add an instance.",
        "LM Studio: POST /api/v1/models/load",
        life.start_idempotent,
        sees=("start",),
    ),
    Rule(
        "start-before-call",
        "A call before start is a typed error.",
        "must",
        "An answer from a model that was not loaded for us, or an AttributeError, hides a mistake of the caller.",
        _PROTOCOL,
        life.start_before_call,
        needs=("needs_start",),
    ),
    Rule(
        "failed-start-is-error",
        "A start that the server cannot carry out raises an AdapterError.",
        "must",
        "A start that seems to have succeeded is leased out.",
        "llama.cpp: a load ends as failed",
        life.failed_start_is_error,
        needs=("loads_models",),
        faults=("load_fails",),
    ),
    Rule(
        "shutdown-idempotent",
        "A second shutdown changes nothing and raises nothing.",
        "must",
        "Users close in a finally block what a manager has closed already.",
        _PROTOCOL,
        life.shutdown_idempotent,
        sees=("shutdown",),
    ),
    Rule(
        "shutdown-after-anything",
        "Shutdown works after a start that failed, was cancelled, or never began.",
        "must",
        "The manager shuts down every adapter that it has constructed.",
        _WORKER,
        life.shutdown_after_anything,
        sees=("shutdown",),
        after=("unload-unloads",),
    ),
    Rule(
        "shutdown-bounded",
        "Shutdown ends within the time that is declared, whatever the server does.",
        "must",
        "An overdue shutdown is given up on, and a second model is loaded beside the first.",
        "docs/adapters.md",
        life.shutdown_bounded,
        needs=("loads_models",),
        faults=("unload_silent", "unload_lost"),
    ),
    Rule(
        "shutdown-leaves-nothing",
        "After shutdown there is no task, no socket and no call that was not there before.",
        "must",
        "A manager makes and ends adapters for as long as it runs.",
        _WORKER,
        life.shutdown_leaves_nothing,
        after=("early-close-frees", "end-frees"),
    ),
    Rule(
        "unload-unloads",
        "After shutdown, what start has loaded is not loaded any more.",
        "must",
        "The next model does not fit beside it.",
        "field faults F25",
        life.unload_unloads,
        needs=("loads_models",),
        sees=("probe_resident",),
    ),
    Rule(
        "foreign-stays",
        "What the adapter has not loaded, it does not unload.",
        "must",
        "The server is shared with its user and with other programs.",
        "field faults F6",
        life.foreign_stays,
        needs=("loads_models",),
        faults=("foreign",),
        sees=("probe_resident",),
    ),
    Rule(
        "call-after-shutdown",
        "A call after shutdown is a typed error.",
        "must",
        "A lease that was revoked must not use the server behind the manager's back.",
        _PROTOCOL,
        life.call_after_shutdown,
        sees=("shutdown",),
    ),
    Rule(
        "stream-order",
        "A stream is pieces, then exactly one end or error, and nothing after it.",
        "must",
        "A lease is freed by the closing event; what comes after it is lost.",
        _EVENTS,
        calls.stream_order,
    ),
    Rule(
        "event-types",
        "Every event is a StreamEvent of a known type with data of that type's kind.",
        "must",
        "Agents join, parse and encode the data without a look.",
        _EVENTS,
        calls.event_types,
    ),
    Rule(
        "tool-calls-whole",
        "An offered tool is called; the pieces of one call join to a name and a JSON text.",
        "must",
        "Two calls that melt into one, or a name that never comes, make an agent act on wrong data.",
        "field faults F1, F2",
        calls.tool_calls_whole,
        needs=("tool_calls",),
    ),
    Rule(
        "answer-complete",
        "The tokens of an answer are the server's, all of them and in their order.",
        "must",
        "A silent loss looks like a good answer.",
        "field faults F3",
        calls.answer_complete,
        sees=("expected_text",),
    ),
    Rule(
        "prompt-reaches-server",
        "Every message of a prompt reaches the server, once, and in its place.",
        "must",
        "A system message or a tool's result that is lost makes the model answer another question.",
        _PROTOCOL,
        calls.prompt_reaches_server,
        sees=("heard",),
        after=("answer-complete",),
    ),
    Rule(
        "model-as-asked",
        "The model that was asked is the one that answers.",
        "must",
        "Another one's answer looks like an answer.",
        "field faults F18; LM Studio #619",
        calls.model_as_asked,
        sees=("heard",),
    ),
    Rule(
        "whole-stream-is-no-error",
        "A whole answer ends with end, in whatever odd shape it comes.",
        "must",
        "An answer that was paid for is thrown away and made again.",
        "field faults F12",
        calls.whole_stream_is_no_error,
        after=("no-busy-wait",),
    ),
    Rule(
        "broken-stream-is-error",
        "A stream that breaks off is an error, not an end.",
        "must",
        "Half an answer counts as a whole one.",
        "field faults F4, F8",
        errors.broken_stream_is_error,
        faults=("cut", "truncated", "gone", "evicted"),
    ),
    Rule(
        "error-body-is-error",
        "What the server reports as an error is one, whatever its status and its place.",
        "must",
        "LM Studio answers an unknown path with status 200 and an error; others put one into the stream.",
        "LM Studio #618, #1323",
        errors.error_body_is_error,
        faults=("error_body", "error_in_stream", "busy", "refused", "unauthorised", "denied"),
        after=("no-busy-wait", "cancel-not-swallowed"),
    ),
    Rule(
        "errors-typed",
        "Every failure is an AdapterError.",
        "must",
        "Code that repeats, falls back or gives up decides by it; the engine frees the lease accordingly.",
        _ERRORS,
        errors.errors_typed,
        unseen="nothing has failed: the back door plants no faults",
        shown_by=("server_faults",),
    ),
    Rule(
        "errors-say-retry",
        "An error says whether repeating helps: true of a busy, lost or silent server, false of a refusal.",
        "must",
        "An agent that repeats a refusal never ends; one that gives up on a busy server loses its work.",
        "field faults F5, F10",
        errors.errors_say_retry,
        faults=("busy", "refused", "unauthorised", "denied", "gone", "cut", "silent", "stalled"),
    ),
    Rule(
        "errors-pickle",
        "Errors survive pickle with their message.",
        "should",
        "They cross process boundaries in workers and test runners, and what cannot be unpickled breaks the pool.",
        "field faults F23",
        errors.errors_pickle,
        unseen="nothing has failed: the back door plants no faults",
        shown_by=("server_faults",),
    ),
    Rule(
        "cause-not-invented",
        "An error names a cause only where it was the cause: an eviction is one, and a lost connection is no refusal.",
        "must",
        "An eviction makes the manager load again: without end, where it was not the cause.",
        "field faults F5, F10",
        errors.cause_not_invented,
        faults=(
            *("denied", "refused", "busy", "unauthorised", "gone", "cut", "truncated", "silent", "stalled"),
            *("error_body", "error_in_stream"),
        ),
    ),
    Rule(
        "eviction-is-broken",
        "An error after the model was unloaded by another program says broken.",
        "should",
        "An instance that is gone is leased to the next agent, which fails, too.",
        "field faults F26",
        errors.eviction_is_broken,
        faults=("evicted",),
    ),
    Rule(
        "no-repeat",
        "Nothing is repeated once a piece of the answer was given.",
        "must",
        "The reader has acted on what it has seen; a second answer behind it is another one.",
        "docs/adapters.md",
        calls.no_repeat,
        faults=("cut", "truncated", "error_in_stream", "stalled"),
        sees=("expected_text",),
        after=("error-body-is-error",),
    ),
    Rule(
        "timeouts-kept",
        "A silent server is an error within the time that is declared.",
        "must",
        "The lease is held for as long.",
        "docs/adapters.md",
        errors.timeouts_kept,
        needs=("silence_seconds",),
        faults=("silent", "stalled", "load_silent"),
        after=("no-busy-wait",),
    ),
    Rule(
        "end-frees",
        "The closing event of a stream frees its connection.",
        "must",
        "A server with few slots has none left.",
        "statemachine/manager/engine.py",
        calls.end_frees,
        sees=("connections",),
    ),
    Rule(
        "early-close-frees",
        "A stream that is closed early frees its connection, and closing raises nothing.",
        "must",
        "The server goes on generating for a reader that has gone.",
        "statemachine/manager/engine.py",
        calls.early_close_frees,
        after=("back-pressure",),
    ),
    Rule(
        "cancel-not-swallowed",
        "Cancellation leaves start, call and shutdown, at every checkpoint.",
        "must",
        "A manager that closes waits for it, shielded: a swallowed cancellation is a hang.",
        "trio: Cancelled must propagate",
        life.cancel_not_swallowed,
    ),
    Rule(
        "cancel-is-prompt",
        "A cancelled start, call or shutdown is over within 5 s, whatever the server does.",
        "must",
        "Whoever has set the time-out waits for longer than that.",
        "docs/adapters.md",
        life.cancel_is_prompt,
        after=("cancel-not-swallowed",),
    ),
    Rule(
        "cancel-leaks-nothing",
        "Cancelled at any checkpoint, it leaves no task and no call behind, and after shutdown no model.",
        "must",
        "Time-outs are cancellations, and come at any moment.",
        "docs/proof.md",
        life.cancel_leaks_nothing,
        after=("unload-unloads", "shutdown-leaves-nothing", "end-frees"),
    ),
    Rule(
        "calls-do-not-mix",
        "Calls at the same time each get their own answer.",
        "must",
        "An agent acts on another one's answer.",
        _PROTOCOL,
        calls.calls_do_not_mix,
        needs=("parallel",),
        after=("answer-complete",),
        unseen="no answer is known: declare repeatable, or let the back door tell expected_text",
        shown_by=("repeatable", "expected_text"),
    ),
    Rule(
        "parallel-as-declared",
        "As many calls as declared are answered at the same time: no hidden limit lies below.",
        "must",
        "A queue that the manager does not know has no order, no bound and no time-out.",
        "field faults F7",
        calls.parallel_as_declared,
        needs=("parallel",),
        after=("whole-stream-is-no-error",),
    ),
    Rule(
        "back-pressure",
        "A reader that stops reading stops the server, but for a bounded number of pieces.",
        "should",
        "An answer that is not read fills the memory; one that is collected first is not a stream.",
        "docs/conformance.md",
        calls.back_pressure,
        needs=("buffer_pieces",),
        sees=("pieces_sent",),
    ),
    Rule(
        "arguments-unchanged",
        "The prompt, the parameters and the tools of a call are not changed.",
        "must",
        "The caller sends the same objects again.",
        _PROTOCOL,
        calls.arguments_unchanged,
    ),
    Rule(
        "secrets-hidden",
        "A credential appears in no repr, error, event, log or pickle.",
        "must",
        "Logs and traces are shared.",
        "statemachine/errors.py",
        errors.secrets_hidden,
        needs=("secret_options",),
    ),
    Rule(
        "no-blocking",
        "The event loop is never held up for more than 250 ms (seen three times).",
        "must",
        "Every other agent stands still.",
        "trio: blocking calls belong into threads",
        life.no_blocking,
    ),
    Rule(
        "no-busy-wait",
        "Waiting is left to the event loop: nothing asks step after step whether it is time.",
        "must",
        "A processor is busy for nothing, and every other agent is slow.",
        "trio: wait on events and sleeps",
        life.no_busy_wait,
    ),
    Rule(
        "no-leftovers",
        "Nothing is left to the garbage collector: streams inside are closed, and coroutines are awaited.",
        "should",
        "It collects when it likes, outside of every time-out, and in another task.",
        "trio: ResourceWarning",
        life.no_leftovers,
    ),
)
_BEHIND_A_MANAGER: Final = Rule(
    "manager-properties",
    "Behind a ProviderManager, agents get their answers, every property holds, and nothing is left at the end.",
    "must",
    "It is what adapters are for: several instances, one after the other or side by side.",
    "statemachine/properties/",
    life.manager_properties,
    after=tuple(rule.id for rule in _OF_ONE_ADAPTER),
)
RULES: Final[tuple[Rule, ...]] = (*_OF_ONE_ADAPTER, _BEHIND_A_MANAGER)
RULES_BY_ID: Final = {rule.id: rule for rule in RULES}
