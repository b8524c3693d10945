"""What is mutated, and the tests that have to notice: stage by stage, the quick ones first."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["SUBJECTS", "Tests"]

Tests: TypeAlias = tuple[str, ...]
"""What pytest is told to run."""


def _tests(*names: str) -> Tests:
    return tuple(f"tests/test_{name}.py" if "::" not in name else f"tests/test_{name}" for name in names)


def _scenarios(*names: str) -> Tests:
    return tuple(f"checker.py::test_every_property_holds_in_every_reachable_state[{name}]" for name in names)


_SMALL = _tests(*_scenarios("api-raise", "slot-raise", "slot-parallel", "slot-gated-faults"))
_ATTACK = _tests("model_machine")
_ORDER = _tests("robustness", *_scenarios("slot-affinity", "live-fifo"))
_CONTRACT = _tests(
    *(
        f"contract_{part}"
        for part in ("names", "pools", "slots", "waiting", "starting", "stopping", "closing", "leases")
    ),
    "known_defects",
)
_MANAGER = _tests("contract_engine", "contract_configuration", "contract_secrets", "agent", "robustness")
_SCHEDULES = _tests("programs", "sweep", "cancellation")

_PURE = (_CONTRACT, _ATTACK)
_DRIVER = (_CONTRACT, _MANAGER, _SCHEDULES)

SUBJECTS: dict[str, tuple[Tests, ...]] = {
    # What breaks the model makes the manager hang, which takes its time: so the model alone goes first.
    **dict.fromkeys(("model", "moves"), (_SMALL, *_PURE)),
    "pool": (_tests("pool"), _SMALL, *_PURE),
    "lifecycle": (_tests("lifecycle"), _SMALL, *_PURE),
    **dict.fromkeys(
        (
            f"policies/{name}"
            for name in ("affinity", "cost_aware", "fair", "fifo", "gated", "line", "policy", "prioritised")
        ),
        (_tests("policies", "queueing"), _SMALL, _CONTRACT, _ORDER),
    ),
    "timers": (_tests("timers"), *_PURE),
    "counters": (_tests("pool"), _ATTACK, _CONTRACT),
    **dict.fromkeys(("lease", "worker", "manager", "engine", "refusal"), _DRIVER),
}
