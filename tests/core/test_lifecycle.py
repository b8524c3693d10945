"""The compiled table is the machine: same destination, same refusal, over every state and trigger."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import pytest
from transitions import Machine, MachineError

from statemachine.core.lifecycle import INSTANCE, MACHINES, POOL, REQUEST, FastMachine, mermaid

EVERYTHING = [
    (machine, state, trigger) for machine in MACHINES for state, trigger in product(machine.states, machine.events)
]


@pytest.mark.parametrize(("machine", "state", "trigger"), EVERYTHING, ids=lambda v: getattr(v, "kind", v))
def test_the_fast_path_equals_the_plain_machine(machine: FastMachine, state: str, trigger: str) -> None:
    plain, fast = SimpleNamespace(state=state), SimpleNamespace(state=state)
    try:
        machine.events[trigger].trigger(plain)  # the whole of transitions: callbacks, conditions, logging
        refused = False
    except MachineError:
        refused = True
    if refused:
        with pytest.raises(MachineError, match=f"{trigger}.*{state}"):
            machine.fire(fast, trigger)
    else:
        machine.fire(fast, trigger)
    assert fast.state == plain.state
    assert (fast.state == state) or not refused, "an illegal trigger changes nothing"


def test_an_unknown_trigger_is_refused() -> None:
    subject = SimpleNamespace(state="idle")
    with pytest.raises(MachineError) as caught:
        INSTANCE.fire(subject, "explode")
    assert caught.value.value == "instance: can't trigger 'explode' from state 'idle'"
    assert subject.state == "idle"


@pytest.mark.parametrize("what", ["conditions", "unless", "prepare", "before", "after"])
def test_a_machine_with_callbacks_cannot_be_compiled(what: str) -> None:
    rows = [{"trigger": "go", "source": "a", "dest": "b", what: lambda: None}]
    with pytest.raises(ValueError, match="compiled") as caught:
        FastMachine("pool", ["a", "b"], rows)
    assert str(caught.value) == "pool.go: a transition with conditions or callbacks cannot be compiled"


def test_the_machines_are_real_transitions_machines_without_models() -> None:
    for machine in MACHINES:
        assert isinstance(machine, Machine)
        assert machine.models == []


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.kind)
def test_every_state_can_be_reached_and_only_final_states_are_dead_ends(machine: FastMachine) -> None:
    reached, frontier = {machine.initial}, [machine.initial]
    while frontier:
        source = frontier.pop()
        for row in machine.table.values():
            if source in row and row[source] not in reached:
                reached.add(row[source])
                frontier.append(row[source])
    assert reached == set(machine.states)
    dead_ends = {s for s in machine.states if not any(s in row for row in machine.table.values())}
    assert (
        dead_ends
        == {
            INSTANCE: {"evicted"},
            REQUEST: {"rejected", "cancelled", "timed_out", "failed", "released", "revoked"},
            POOL: {"closed"},
        }[machine]
    )


def test_the_diagram_shows_every_transition() -> None:
    for machine in MACHINES:
        drawn = mermaid(machine)
        for trigger, row in machine.table.items():
            for source, dest in row.items():
                assert any(
                    line.strip().startswith(f"{source} --> {dest}: ") and trigger in line for line in drawn.splitlines()
                )


def test_the_diagram_can_be_read_by_mermaid() -> None:
    assert mermaid(POOL).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> open",
        "    open --> saturated: saturate",
        "    saturated --> open: relax",
        "    open --> closing: close",
        "    saturated --> closing: close",
        "    closing --> closed: finish",
        "    closed --> [*]",
    ]
    assert "    starting --> stopping: fail, stop" in mermaid(INSTANCE).splitlines()


def test_observers_are_told_the_kind() -> None:
    assert [machine.kind for machine in MACHINES] == ["instance", "request", "pool"]
