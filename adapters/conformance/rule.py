"""What a rule is: its sentence, its reason, the judge that looks at runs, and when it applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .subject import Subject
from .trace import METHODS, ProgramRun

__all__ = ["Finding", "Judge", "Rule", "why_skipped"]

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
    """Tell why the rule cannot be applied to the subject, or None. ``seen``: the parts of the back door that tell something."""
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
