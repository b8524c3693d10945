"""A conformance suite for adapters, anybody's: rules, programs that Hypothesis draws, and a verdict for each rule.

    llm-slots conformance mypackage.adapter:factory     # a table, and the shortest program that breaks a rule
    pytest --conformance mypackage.adapter:factory               # each rule as a test, without a file
    check(factory).table()                                       # in Python
    class TestMine(AdapterConformance): subject = MySubject      # in a test file

``docs/conformance.md`` tells how an adapter declares what it can do, and opens a back door to its server.
"""

from __future__ import annotations

from .check import check, replay
from .program import Agents, Call, Program, Shutdown, Start, Together, Visit
from .report import Report, RuleVerdict
from .rule import Rule
from .rules import RULES
from .subject import Capabilities, Heard, Subject
from .suite import AdapterConformance

__all__ = [
    "RULES",
    "AdapterConformance",
    "Agents",
    "Call",
    "Capabilities",
    "Heard",
    "Program",
    "Report",
    "Rule",
    "RuleVerdict",
    "Shutdown",
    "Start",
    "Subject",
    "Together",
    "Visit",
    "check",
    "replay",
]
