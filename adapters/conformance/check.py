"""Checks a subject: runs programs, lets every rule judge every run, and finds the shortest program that breaks a rule."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

import hypothesis
from hypothesis.errors import Flaky, NoSuchExample

from statemachine.errors import AdapterConnectError, AuthenticationError, ConfigurationError, ModelNotFoundError

from .program import Program, size
from .report import Report, RuleVerdict, with_hint
from .rule import Rule, why_skipped
from .rules import RULES, RULES_BY_ID
from .run import perform
from .strategy import MOST_CANCELLATIONS, drawn_programs, plain_programs, sweeps
from .subject import SubjectFactory, subject_factory
from .trace import ProgramRun

__all__ = ["check", "replay"]

EXAMPLES: Final = 60
SECONDS: Final = 45.0
SHRINK_SECONDS: Final = 5.0


def check(
    given: Any,
    *,
    name: str = "factory",
    rules: Collection[str] = (),
    seed: int = 0,
    examples: int = EXAMPLES,
    seconds: float = SECONDS,
    capabilities: Mapping[str, Any] | None = None,
    models: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Report:
    """Return the verdict of each rule about ``given``: a Subject class, or what makes an adapter of an AdapterConfig.

    ``name`` is where it can be imported from, for the report. ``rules``: only these (ids). ``examples`` programs are drawn from
    ``seed`` (0: only the plain ones run); no new one is begun after ``seconds``. The others are as in :func:`subject_factory`.
    Raises ConfigurationError.
    """
    for rule in rules:
        if rule not in RULES_BY_ID:
            raise ConfigurationError("rules", "must be ids of rules", repr(rule))
    make = subject_factory(given, capabilities=capabilities, models=models, options=options)
    campaign = _Campaign(make, seed, examples, seconds)
    campaign.run()
    chosen = [rule for rule in RULES if not rules or rule.id in rules]
    how = _declared(capabilities, models, options)
    return Report(name, seed, [campaign.verdict(rule) for rule in chosen], campaign.programs, how=how)


def _declared(capabilities: Mapping[str, Any] | None, models: Sequence[str], options: Mapping[str, Any] | None) -> str:
    """Write these as the arguments of :func:`replay`. An option's value may be a credential: it is left open."""
    parts = []
    if capabilities:
        parts.append(f"capabilities={dict(capabilities)!r}")
    if models:
        parts.append(f"models={list(models)!r}")
    if options:
        parts.append(f"options={{{', '.join(f'{name!r}: ...' for name in options)}}}")
    return ", ".join(parts)


def replay(given: Any, program: Program, rule: str, **how: Any) -> None:
    """Run one program. Raises AssertionError where it breaks ``rule`` (an id)."""
    run = perform(subject_factory(given, **how), program)
    broken = [finding for finding in RULES_BY_ID[rule].judge(run) if finding is not None]
    assert not broken, f"{rule}: {broken[0]}"


class _NotRunnableError(Exception):
    """No program can be run: the message says why."""


class _Seen(NamedTuple):
    findings: Mapping[str, str | None]  # by rule; None: looked at, and kept
    cancelled: bool  # one of its cancellations came before its operation was over


_NOT_SEEN: Final = _Seen({}, False)
_ABSENT: Final = (AdapterConnectError, AuthenticationError, ModelNotFoundError)
"""What a first call fails with where the server is another one than was meant, or none."""
_SETTINGS: Final = hypothesis.settings(
    database=None, deadline=None, derandomize=False, suppress_health_check=list(hypothesis.HealthCheck)
)


class _Campaign:
    """Runs programs and remembers what the rules have found. Each program is run once."""

    def __init__(self, make: SubjectFactory, seed: int, examples: int, seconds: float) -> None:
        self._make = make
        self._seed = seed
        self._examples = examples
        self._deadline = time.monotonic() + seconds
        self._seen: dict[Program, _Seen] = {}
        self._drawn: set[Program] = set()  # as against the plain ones, which are short
        self._looked_at: set[str] = set()
        self._broken: dict[str, Program] = {}  # rule -> its shortest program
        self._told: frozenset[str] = frozenset()
        self._trouble: str | None = None

    @property
    def programs(self) -> int:
        """How many programs were run."""
        return len(self._seen)

    def run(self) -> None:
        """Run the plain programs, the sweeps, and the drawn ones, then shrink."""
        try:
            subject = self._make()
            for program in plain_programs(subject):
                self._observe(program)
            for sweep in sweeps():
                self._sweep(sweep)
            if self._examples < 1:
                return
            strategy = drawn_programs(subject)
            self._draw(strategy)
            for rule in [rule for rule, program in self._broken.items() if program in self._drawn]:
                self._shrink(strategy, rule)
        except _NotRunnableError as error:
            self._trouble = str(error)

    def verdict(self, rule: Rule) -> RuleVerdict:
        """Return what is known about ``rule`` now."""
        if rule.id in self._broken:
            program = self._broken[rule.id]
            finding = self._seen[program].findings[rule.id] or ""
            if (cause := next((other for other in rule.after if other in self._broken), None)) is not None:
                return RuleVerdict(rule, "UNDETERMINED", f"perhaps because {cause} is broken: {finding}", program)
            return RuleVerdict(rule, "FAIL", with_hint(finding), program)
        if self._trouble is not None:
            return RuleVerdict(rule, "UNDETERMINED", self._trouble)
        if (reason := why_skipped(rule, self._make(), self._told)) is not None:
            return RuleVerdict(rule, "SKIPPED", reason)
        if rule.id in self._looked_at:
            return RuleVerdict(rule, "PASS", "")
        if rule.unseen and not any(map(self._has, rule.shown_by)):
            return RuleVerdict(rule, "SKIPPED", rule.unseen)
        return RuleVerdict(rule, "UNDETERMINED", "no program has shown anything about it")

    def _has(self, name: str) -> bool:
        """Return whether the subject declares it, or its back door has shown it."""
        subject = self._make()
        declared = getattr(subject.capabilities, name, False)
        return bool(declared or name in self._told or (name == "server_faults" and subject.server_faults()))

    # ---- programs ----

    def _observe(self, program: Program) -> _Seen:
        if program not in self._seen and time.monotonic() < self._deadline:
            try:
                run = perform(self._make, program)
            except Exception as error:
                raise _NotRunnableError(_hidden(_trouble(error), self._make().secrets)) from error
            self._told |= run.told
            if not self._seen and not self._make().serves and (absent := _absent(run)) is not None:
                raise _NotRunnableError(_hidden(absent, run.secrets))
            aimed = any(step.aimed for step in run.steps)
            self._seen[program] = _Seen(self._judge(run), aimed)
            if run.stuck:  # it has left a thread behind: one is enough
                self._deadline = -math.inf
        return self._seen.get(program, _NOT_SEEN)

    def _judge(self, run: ProgramRun) -> dict[str, str | None]:
        subject, findings = self._make(), dict[str, str | None]()
        for rule in RULES:
            if why_skipped(rule, subject, self._told) is None and (found := list(rule.judge(run))):
                broken = next((finding for finding in found if finding is not None), None)
                findings[rule.id] = None if broken is None else _hidden(broken, run.secrets)
        self._looked_at |= findings.keys()
        for rule_id, finding in findings.items():
            best = self._broken.get(rule_id)
            if finding is not None and (best is None or size(run.program) < size(best)):
                self._broken[rule_id] = run.program
        return findings

    def _sweep(self, program_at: Callable[[int], Program]) -> None:
        for step in range(MOST_CANCELLATIONS):
            if not self._observe(program_at(step)).cancelled:
                return

    def _draw(self, strategy: hypothesis.strategies.SearchStrategy[Program]) -> None:
        @hypothesis.seed(self._seed)
        @hypothesis.settings(_SETTINGS, max_examples=self._examples, phases=[hypothesis.Phase.generate])
        @hypothesis.given(strategy)
        def draw(program: Program) -> None:
            if program not in self._seen:
                self._drawn.add(program)
                self._observe(program)

        draw()

    def _shrink(self, strategy: hypothesis.strategies.SearchStrategy[Program], rule: str) -> None:
        until = min(self._deadline, time.monotonic() + SHRINK_SECONDS)

        def breaks(program: Program) -> bool:
            known = program in self._seen or time.monotonic() < until
            return known and self._observe(program).findings.get(rule) is not None

        settings = hypothesis.settings(_SETTINGS, max_examples=self._examples)
        try:
            hypothesis.find(strategy, breaks, settings=settings, random=Random(self._seed))
        except (NoSuchExample, Flaky):  # time was over before it was found again
            return


def _absent(run: ProgramRun) -> str | None:
    """Tell why the first program says that its server is elsewhere, or None."""
    failures = [error for step in run.steps for error in step.failures]
    found = next((error for error in failures if isinstance(error, _ABSENT)), None)
    if found is None:
        return None
    cure = "start the server, and tell its address and a model that it has: --option base_url=URL --model ID"
    return f"no call is taken: {type(found).__name__}: {found} ({cure})"


def _trouble(error: Exception) -> str:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return with_hint(f"no program can be run: {type(error).__name__}: {error}")


def _hidden(text: str, secrets: Sequence[str]) -> str:
    """Return ``text`` without credentials: a report is shared."""
    for secret in secrets:
        text = text.replace(secret, "<credential>")
    return text
