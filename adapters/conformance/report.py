"""The verdicts as a table, JSON, JUnit's XML and Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from xml.etree import ElementTree

from .program import Program, shown
from .rule import Rule

__all__ = ["EXIT_BROKEN", "EXIT_KEPT", "EXIT_UNDETERMINED", "Outcome", "Report", "RuleVerdict", "with_hint"]

Outcome: TypeAlias = Literal["PASS", "FAIL", "SKIPPED", "UNDETERMINED"]

EXIT_KEPT: Final = 0
EXIT_BROKEN: Final = 1
EXIT_UNDETERMINED: Final = 3

_ASYNCIO_SIGNS: Final = ("no running event loop", "no current event loop", "asyncio")
_ASYNCIO_HINT: Final = " (it needs asyncio: wrap its factory with adapters.on_asyncio.OnAsyncio)"


def with_hint(text: str) -> str:
    """Return ``text``, with the way out where an adapter needs asyncio."""
    return text + _ASYNCIO_HINT if any(sign in text for sign in _ASYNCIO_SIGNS) else text


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """Of one rule. ``reason``: how it is broken, or why it was not applied. ``program``: the shortest that breaks it."""

    rule: Rule
    outcome: Outcome
    reason: str
    program: Program | None = None

    def test(self, target: str, how: str = "") -> str:
        """Write the program as a test to paste; ``target`` is ``"package.module:name"``, ``how`` further arguments, as Python."""
        module, _, attribute = target.partition(":")
        first = attribute.partition(".")[0] or "factory"
        return (
            f"from adapters.conformance import *\nfrom {module or 'mypackage.adapter'} import {first}\n\n\n"
            f"def test_{self.rule.id.replace('-', '_')}() -> None:\n"
            f"    program = {shown(self.program or ())}\n"
            f"    replay({attribute or first}, program, {self.rule.id!r}{how and f', {how}'})\n"
        )


@dataclass(frozen=True)
class Report:
    """All verdicts about ``target``. ``expected`` maps the rules that are known to be broken to their reasons; ``how`` is
    what was declared, as Python, with the options' names and without their values."""

    target: str
    seed: int
    verdicts: Sequence[RuleVerdict]
    programs: int
    expected: Mapping[str, str] = field(default_factory=dict)
    how: str = ""

    @property
    def failed(self) -> list[str]:
        """The ids of the rules that are broken."""
        return [verdict.rule.id for verdict in self.verdicts if verdict.outcome == "FAIL"]

    def trouble(self, verdict: RuleVerdict) -> str | None:
        """Tell what makes the check fail about this verdict: a rule is broken and was not expected to be, or the other way round."""
        known = verdict.rule.id in self.expected
        if verdict.outcome == "FAIL" and not known:
            return verdict.reason
        if verdict.outcome == "PASS" and known:
            return "it is kept, and is expected to be broken"
        return None

    @property
    def exit_code(self) -> int:
        """1: a ``must`` is broken, or an expected failure is none; 3: something is undetermined; else 0."""
        if any(self.trouble(v) and (v.rule.severity == "must" or v.outcome == "PASS") for v in self.verdicts):
            return EXIT_BROKEN
        if any(verdict.outcome == "UNDETERMINED" for verdict in self.verdicts):
            return EXIT_UNDETERMINED
        return EXIT_KEPT

    def table(self) -> str:
        """Write the report for a terminal."""
        reasons = {(verdict.outcome, verdict.reason) for verdict in self.verdicts}
        if len(reasons) == 1 and len(self.verdicts) > 1 and self.verdicts[0].outcome == "UNDETERMINED":
            return f"No rule could be looked at: {self.verdicts[0].reason}\n\n{self.summary()}"
        width = max(len(verdict.rule.id) for verdict in self.verdicts)
        lines = [
            f"{v.rule.id:<{width}}  {v.rule.severity:<6}  {self._word(v):<12}  {v.reason}".rstrip()
            for v in self.verdicts
        ]
        for verdict in self.verdicts:
            if verdict.outcome == "FAIL":
                lines += [
                    "",
                    f"# {verdict.rule.id}: {verdict.rule.sentence}",
                    f"# {verdict.reason}",
                    verdict.test(self.target, self.how),
                ]
        return "\n".join([*lines, "", self.summary()])

    def summary(self) -> str:
        """Return the report in one line."""
        counts = Counter(verdict.outcome for verdict in self.verdicts)
        words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("PASS", "FAIL", "SKIPPED", "UNDETERMINED"))
        return f"{self.target}: {words}; {self.programs} programs, seed {self.seed}"

    def _word(self, verdict: RuleVerdict) -> str:
        if verdict.rule.id not in self.expected or verdict.outcome not in ("PASS", "FAIL"):
            return verdict.outcome
        return "EXPECTED" if verdict.outcome == "FAIL" else "UNEXPECTED"

    def to_json(self) -> str:
        """Write everything, for programs."""
        rows: list[dict[str, Any]] = [
            {
                "rule": verdict.rule.id,
                "severity": verdict.rule.severity,
                "sentence": verdict.rule.sentence,
                "verdict": verdict.outcome,
                "expected": verdict.rule.id in self.expected,
                "reason": verdict.reason,
                "program": None if verdict.program is None else repr(verdict.program),
            }
            for verdict in self.verdicts
        ]
        whole = {"target": self.target, "seed": self.seed, "programs": self.programs, "exit_code": self.exit_code}
        return json.dumps({**whole, "rules": rows}, indent=2) + "\n"

    def to_junit(self) -> str:
        """Write the report for CI servers. What is skipped or undetermined is ``skipped`` or ``error``, never a pass."""
        suite = ElementTree.Element("testsuite", name=f"conformance of {self.target}", tests=str(len(self.verdicts)))
        for verdict in self.verdicts:
            case = ElementTree.SubElement(suite, "testcase", classname=self.target, name=verdict.rule.id)
            if (trouble := self.trouble(verdict)) is not None:
                failure = ElementTree.SubElement(case, "failure", message=_xml(trouble))
                failure.text = _xml(verdict.test(self.target, self.how)) if verdict.program is not None else None
            elif verdict.outcome == "UNDETERMINED":
                ElementTree.SubElement(case, "error", message=_xml(verdict.reason))
            elif verdict.outcome != "PASS":
                ElementTree.SubElement(case, "skipped", message=_xml(verdict.reason))
        return ElementTree.tostring(suite, encoding="unicode") + "\n"

    def to_markdown(self) -> str:
        """Write the report for a README."""
        rows = [
            f"| `{v.rule.id}` | {v.rule.sentence} | {v.rule.severity} | {self._word(v)} | {_cell(v.reason)} |"
            for v in self.verdicts
        ]
        return "\n".join(["| rule | | severity | verdict | |", "|---|---|---|---|---|", *rows, "", self.summary(), ""])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _xml(text: str) -> str:
    """Replace the characters that XML cannot hold."""
    return "".join(
        character if character in "\n\t" or character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
