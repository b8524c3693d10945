"""What is mutated, and the tests that may notice."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

__all__ = ["CAMPAIGNS", "FIRST_PARTY", "LEFT_OUT", "ROOT", "Campaign", "Tests"]

ROOT = Path(__file__).parents[2]
FIRST_PARTY = frozenset({"adapters", "benchmarks", "simulation", "statemachine", "tests"})

Tests: TypeAlias = tuple[str, ...]
"""What pytest is told to collect. The tests that are run for a mutant are those of them that reach it."""


def _tests(room: str, *names: str) -> Tests:
    return tuple(f"tests/{room}/test_{name}.py" for name in names)


_CONTRACT = _tests(
    "contract",
    *("configuration", "identity", "names", "secrets", "pools", "slots", "waiting"),
    *("starting", "stopping", "closing", "leases", "dropped", "engine", "policies"),
    *("accounts", "refusal", "worker", "logs", "invariants", "known_defects", "robustness"),
)
_AT_HAND = (
    *_tests("contract", "streams", "stream_ends", "newcomers", "kin", "at_once"),
    *(  # the others of these files take long, or fail where coverage deepens the stack
        f"tests/contract/test_{name}"
        for name in (
            "handles.py::test_a_block_that_was_not_entered_says_so_when_it_is_left",
            "handles.py::test_a_manager_that_was_never_entered_has_nothing_to_close",
            "interruptions.py::test_r05_an_observer_that_raises_at_a_grant_costs_no_lease",
            "interruptions.py::test_acquire_nowait_takes_what_is_ready_and_changes_nothing_otherwise",
            "interruptions.py::test_a_handler_of_trios_servers_is_a_task_like_any_other",
        )
    ),
)
_MODEL = _tests("core", "lifecycle", "index", "timers", "coordinator_machine")
_POLICIES = _tests("core", "policies", "queueing", "round_robin", "pauses")
_CHECKER = tuple(
    f"tests/core/test_checker.py::test_every_property_holds_in_every_reachable_state[{scenario}]"
    for scenario in ("slot-raise", "slot-parallel", "slot-gated-faults", "live-api-2", "live-fifo", "history-drain")
)
_CANCELLED = _tests("manager", "agent", "sweep", "cancellation", "manager_machine", "outstanding", "auto_reset")

_DRIVER = tuple(
    f"manager/{name}"
    for name in ("manager", "stepper", "acquiring", "kin", "lease", "worker", "engine", "reading", "refusal")
)
_PURE = (
    *(
        f"core/{name}"
        for name in ("lifecycle", "coordinator", "placement", "admission", "ledger", "index", "timers", "counters")
    ),
    *(
        f"policies/{name}"
        for name in ("policy", "line", "fifo", "gated", "affinity", "cost_aware", "fair", "prioritised", "round_robin")
    ),
)
LEFT_OUT = re.compile(
    r"-another\]|\[(with|by an exception)\b"  # of the core's
    r"|unpacks_to_gigabytes|many_lines_in_one_event|linear_in|takes_no_longer"  # of the wire's: sizes, seconds
    r"|(ollama|anthropic)_reading.*(are_split|cut_anywhere)|answer_without_end_is_bounded|a_damaged_file"
)
"""Of those, the tests with these in their names take seconds each, and every survivor goes through all tests that reach it. For the same
reason there are no schedules and no larger scenarios: they have mutants of their own (``python -m tests.proof``)."""

_ON_THE_WIRE = (
    *_tests(
        "adapters",
        "framing",
        "chat_reading",
        "call_reading",
        "closing",
        "responses_reading",
        "error_bodies",
        "requests",
        "bodies",
        "names",
    ),
    *_tests(
        "adapters",
        "http_client",
        "client_network",
        "https",
        "stream_answer",
        "passing",
        "kept_bounds",
        "heads",
        "members",
    ),
    *_tests("adapters", "sse", "chat", "http_errors", "lmstudio_options", "bounds", "forward", "kept"),
    *_tests("adapters", "openai_adapter", "faults_answers", "faults_members", "faults_further", "faults_numbers"),
    *_tests("adapters", "ollama_reading", "anthropic_reading", "anthropic_requests"),
    "tests/fuzz/test_fuzz.py",
)
_FIRST = ("lines", "sse", "ndjson", "form", "nothing", "parts", "tool_calls", "reader", "chat", "responses")
_ERRORS = ("error_body", "errors")
_THEN = (
    "decoding",
    "bounds",
    "messages",
    "options",
    "secrets",
    "stream",
    "client",
    "response",
    "heads",
    "for_httpx",
    "members",
    "forward",
    "kept",
    "health",
)

_AT_HOME = {
    **dict.fromkeys(("lines", "sse", "ndjson", "form"), ("framing", "sse")),
    **dict.fromkeys(("nothing", "parts", "chat"), ("chat_reading", "closing", "call_reading")),
    **dict.fromkeys(("tool_calls", "reader"), ("call_reading", "closing", "chat_reading", "responses_reading")),
    **dict.fromkeys(_ERRORS, ("error_bodies", "http_errors")),
    **dict.fromkeys(("messages", "options", "secrets"), ("requests", "lmstudio_options")),
    "decoding": ("bodies", "bounds"),
    "bounds": ("bodies", "error_bodies", "call_reading"),
    **dict.fromkeys(("client", "response", "for_httpx"), ("http_client", "client_network", "https", "chat")),
    "responses": ("responses_reading",),
    "stream": ("stream_answer",),
    **dict.fromkeys(("forward", "members"), ("forward", "passing", "members", "https")),
    "heads": ("heads",),
    "kept": ("kept", "kept_bounds"),
    "health": ("openai_adapter",),
}

CORE: dict[str, Tests] = {
    **dict.fromkeys(_DRIVER, (*_CONTRACT, *_AT_HAND, *_CANCELLED)),
    **dict.fromkeys(_PURE, (*_MODEL, *_POLICIES, *_CONTRACT, *_CHECKER)),
    "core/coordinator": (*_MODEL, *_POLICIES, *_CONTRACT, *_AT_HAND, *_CHECKER),
}
AT_HOME: dict[str, Tests] = {f"http/{name}": _tests("adapters", *files) for name, files in _AT_HOME.items()}
WIRE: dict[str, Tests] = {f"http/{name}": _ON_THE_WIRE for name in (*_FIRST, *_ERRORS, *_THEN)}


@dataclass(frozen=True)
class Campaign:
    """Modules of one package, with their tests.

    ``warm``: what the tests import beside ``package``, so that it is imported once. ``seconds``: how much of the processor's time the
    tests of one mutant may take (with coverage); of more tests those ``at_home`` are tried, which are about its module, then quick ones.
    """

    name: str
    package: str
    subjects: Mapping[str, Tests]
    warm: tuple[str, ...] = ()
    seconds: float = math.inf
    at_home: Mapping[str, Tests] = field(default_factory=dict)

    @property
    def tests(self) -> Tests:
        """Those of all subjects."""
        return tuple(dict.fromkeys(test for tests in self.subjects.values() for test in tests))

    def path(self, module: str) -> Path:
        """Where the source of a subject is."""
        return ROOT / self.package / f"{module}.py"

    def source(self, module: str) -> str:
        """The text of a subject."""
        return self.path(module).read_text(encoding="utf-8")


CAMPAIGNS: dict[str, Campaign] = {
    "core": Campaign("core", "statemachine", CORE),
    "wire": Campaign(
        "wire",
        "adapters",
        WIRE,
        ("statemachine", "simulation.mock.lmstudio", "simulation.mock.transport", "openai"),
        seconds=2,
        at_home=AT_HOME,
    ),
}
