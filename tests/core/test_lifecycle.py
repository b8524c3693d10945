"""The compiled table is the machine: same destination, same refusal, over every state and trigger."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from transitions import Machine, MachineError

from adapters import FakeAdapter
from statemachine import ProviderConfig, ProviderManagerConfig
from statemachine.core.coordinator import Coordinator
from statemachine.core.diagram import mermaid
from statemachine.core.events import Closed, CloseRequested
from statemachine.core.lifecycle import INSTANCE, MACHINES, MANAGER, POOL, REQUEST, FastMachine

ALL: tuple[FastMachine[Any, Any], ...] = (*MACHINES, MANAGER)

EVERYTHING = [
    (machine, state, trigger) for machine in ALL for state, trigger in product(machine.states, machine.events)
]


@pytest.mark.parametrize(("machine", "state", "trigger"), EVERYTHING, ids=lambda v: getattr(v, "kind", v))
def test_the_fast_path_equals_the_plain_machine(machine: FastMachine[Any, Any], state: str, trigger: str) -> None:
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
        INSTANCE.fire(subject, "explode")  # type: ignore[arg-type]  # that mypy sees it is what typed triggers are for
    assert caught.value.value == "instance: can't trigger 'explode' from state 'idle'"
    assert subject.state == "idle"


ROWS = [["go", "a", "b"]]


def nothing(*arguments: object) -> bool:
    return True


@pytest.mark.parametrize("what", ["conditions", "unless", "prepare", "before", "after"])
def test_a_transition_with_conditions_or_callbacks_is_refused(what: str) -> None:
    rows = [{"trigger": "go", "source": "a", "dest": "b", what: nothing}]
    with pytest.raises(
        ValueError,
        match=r"^pool\.go: a transition with conditions, callbacks or several destinations cannot be compiled$",
    ):
        FastMachine("pool", ["a", "b"], rows)


def test_a_transition_with_several_destinations_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^pool\.go: .*several destinations"):
        FastMachine("pool", ["a", "b", "c"], [["go", "a", "b"], ["go", "a", "c"]])


@pytest.mark.parametrize(
    "options",
    [
        {"before_state_change": nothing},
        {"after_state_change": nothing},
        {"prepare_event": nothing},
        {"finalize_event": nothing},
        {"on_exception": nothing},
        {"on_final": nothing},
        {"ignore_invalid_triggers": True},
        {"queued": True},
        {"send_event": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_machine_with_callbacks_or_a_queue_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^pool: a machine with \w+ cannot be compiled"):
        FastMachine("pool", ["a", "b"], ROWS, **options)


@pytest.mark.parametrize("what", ["on_enter", "on_exit", "ignore_invalid_triggers"])
def test_a_state_with_callbacks_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=r"^pool: state 'b' with callbacks or ignored triggers cannot be compiled"):
        FastMachine("pool", ["a", {"name": "b", what: nothing}], ROWS)


def test_a_machine_that_is_made_takes_no_additions() -> None:
    """What came later would be in the machine and not in its table."""
    machine: FastMachine[Any, Any] = FastMachine("pool", ["a", "b"], ROWS)
    later: list[Callable[[], object]] = [
        lambda: machine.add_transition("back", "b", "a"),
        lambda: machine.add_transitions([["back", "b", "a"]]),
        lambda: machine.add_ordered_transitions(),
        lambda: machine.remove_transition("go"),
        lambda: machine.add_states("c"),
        lambda: machine.add_state("c"),
        lambda: machine.on_enter_b(nothing),
        lambda: machine.before_go(nothing),
        lambda: machine.get_state("b").add_callback("exit", nothing),
        lambda: setattr(machine, "after_state_change", nothing),
        lambda: setattr(machine, "table", {}),
    ]
    for add in later:
        with pytest.raises(TypeError, match=r"^a compiled machine is complete"):
            add()
    assert machine.table == {"go": {"a": "b"}}
    assert set(machine.states) == {"a", "b"}


def test_the_machines_are_real_transitions_machines_without_models() -> None:
    for machine in ALL:
        assert isinstance(machine, Machine)
        assert machine.models == []


@pytest.mark.parametrize("machine", ALL, ids=lambda m: m.kind)
def test_every_state_can_be_reached_and_only_final_states_are_dead_ends(machine: FastMachine[Any, Any]) -> None:
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
            MANAGER: {"closed"},
        }[machine]
    )


def test_the_diagram_shows_every_transition() -> None:
    for machine in ALL:
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
    assert [machine.kind for machine in ALL] == ["instance", "request", "pool", "manager"]


def test_a_manager_can_be_closed_before_it_is_opened() -> None:
    assert MANAGER.table["close"] == {"new": "closing", "open": "closing"}
    coordinator = Coordinator(ProviderManagerConfig([ProviderConfig("api", FakeAdapter)]))
    assert Closed() in coordinator.step(CloseRequested(), 0.0)
    assert coordinator.state == "closed"


def test_the_ledger_refuses_what_a_machine_refuses() -> None:
    ledger = Coordinator(ProviderManagerConfig([ProviderConfig("api", FakeAdapter)])).ledger
    subject: Any = SimpleNamespace(state="stopping")
    fires: dict[str, Any] = {
        "instance": ledger.fire_instance,
        "request": ledger.fire_request,
        "pool": ledger.fire_pool,
    }
    for kind, fire in fires.items():
        with pytest.raises(MachineError) as caught:
            fire(subject, "release")
        assert caught.value.value == f"{kind}: can't trigger 'release' from state 'stopping'"
        assert subject.state == "stopping"
