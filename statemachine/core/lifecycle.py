"""The four state machines: instance, request, pool and manager. Every state change of the running program is a transition of one.

`transitions <https://github.com/pytransitions/transitions>`_ is the declaration language: each machine below is a
``transitions.Machine`` that is made from its rows. The program fires it through a table that is compiled from that machine.

**Instance**: one adapter, from before its construction to after its shutdown. Creation and shutdown take time, so ``starting``
and ``stopping`` are states. A manager without these two grants a lease on an instance that is going away, or starts a second model
before the first is down. ``draining``: the instance was reported broken, and its leases have not ended.

**Request**: one call of ``acquire``, from the call to the end of its lease. ``waiting`` is queueing. ``assigned`` is loading: a
start, or the shutdown that makes room for it, is under way for this request.

**Pool**: the places of one API provider, or the one place of a local slot. ``saturated``: every place is held, so none can be
given to another signature now.

**Manager**: ``new`` until it is entered. ``closing`` grants and starts nothing; ``closed`` manages nothing.

Example: ``INSTANCE.fire(instance, "stop")`` moves an idle instance to ``stopping``. From ``evicted`` it raises ``MachineError``
and changes nothing.

Each kind has one machine that all its subjects share. A subject is a plain object with a ``state``. It is not registered with the
machine, because ``transitions`` takes 4 kB and a linear search for a registered object. A trigger of ``transitions`` itself takes
5-20 us, a look-up in the compiled table 0.2 us. The table has source, trigger and destination, and nothing else. So
:class:`FastMachine` refuses whatever else ``transitions`` can express (conditions, callbacks, later additions), and a test compares
table and machine over every state and trigger.
"""

from __future__ import annotations

from typing import Any, Final, Generic, Literal, NoReturn, Protocol, TypeAlias, TypeVar, get_args

from transitions import Machine, MachineError, State, Transition

__all__ = ["INSTANCE", "MACHINES", "MANAGER", "POOL", "REQUEST", "FastMachine", "MachineError"]

InstanceState: TypeAlias = Literal["absent", "starting", "active", "idle", "draining", "stopping", "evicted"]
RequestState: TypeAlias = Literal[
    "new", "waiting", "assigned", "granted", "rejected", "cancelled", "timed_out", "failed", "released", "revoked"
]
PoolState: TypeAlias = Literal["open", "saturated", "closing", "closed"]
ManagerState: TypeAlias = Literal["new", "open", "closing", "closed"]

InstanceTrigger: TypeAlias = Literal[
    "start", "abort", "fail", "activate", "settle", "acquire", "release", "drain", "stop", "evict"
]
RequestTrigger: TypeAlias = Literal[
    "wait", "assign", "requeue", "grant", "reject", "cancel", "time_out", "fail", "release", "revoke"
]
PoolTrigger: TypeAlias = Literal["saturate", "relax", "close", "finish"]
ManagerTrigger: TypeAlias = Literal["open", "close", "finish"]

StateT = TypeVar("StateT", bound=str)
TriggerT = TypeVar("TriggerT", bound=str)
Kind: TypeAlias = Literal["instance", "request", "pool", "manager"]


class HasState(Protocol[StateT]):
    """An object that a machine moves. It needs a ``state`` and nothing else."""

    state: StateT


def _refuse_additions(*_: object, **__: object) -> NoReturn:
    raise TypeError("a compiled machine is complete: give its states, transitions and callbacks when it is made")


class _State(State):
    add_callback = _refuse_additions


class _Transition(Transition):
    add_callback = _refuse_additions


class FastMachine(Machine, Generic[StateT, TriggerT]):
    """A ``transitions.Machine`` that is fired from a table compiled from it: the same transitions, tens of times faster.

    ``options`` are those of ``transitions.Machine``. Raises ValueError where it declares what a table cannot express: conditions,
    callbacks, several destinations, ignored triggers. Once made it is complete, and any addition raises TypeError.
    """

    state_cls = _State
    transition_cls = _Transition

    def __init__(self, kind: Kind, states: list[Any], transitions: list[Any], **options: Any) -> None:
        super().__init__(
            model=None,
            states=states,
            initial=states[0],
            transitions=transitions,
            auto_transitions=False,
            name=kind,
            **options,
        )
        self.kind: Final = kind
        self.table: Final = _compiled(self)

    def fire(self, subject: HasState[StateT], trigger: TriggerT) -> None:
        """Move ``subject`` by ``trigger``. Raises MachineError, and changes nothing, where the machine has no such transition."""
        try:
            subject.state = self.table[trigger][subject.state]
        except KeyError:
            raise MachineError(f"{self.kind}: can't trigger {trigger!r} from state {subject.state!r}") from None

    def add_states(self, *arguments: Any, **options: Any) -> None:
        """Refused once the machine is made."""
        self._while_made()
        super().add_states(*arguments, **options)

    def add_transition(self, *arguments: Any, **options: Any) -> None:
        """Refused once the machine is made."""
        self._while_made()
        super().add_transition(*arguments, **options)

    def remove_transition(self, *arguments: Any, **options: Any) -> None:
        """Refused."""
        _refuse_additions()

    def __setattr__(self, name: str, value: object) -> None:
        self._while_made()
        super().__setattr__(name, value)

    def _while_made(self) -> None:
        if "table" in self.__dict__:
            _refuse_additions()


_MACHINE_OPTIONS: Final = (
    "before_state_change",
    "after_state_change",
    "prepare_event",
    "finalize_event",
    "on_exception",
    "on_final",
    "ignore_invalid_triggers",
    "has_queue",
    "send_event",
)


def _compiled(machine: FastMachine[StateT, TriggerT]) -> dict[str, dict[str, Any]]:
    """Compile the machine: return destination by trigger and source. Raises ValueError for what a table cannot express."""
    for option in _MACHINE_OPTIONS:
        if getattr(machine, option):
            raise ValueError(f"{machine.kind}: a machine with {option} cannot be compiled")
    for name, state in machine.states.items():
        if state.on_enter or state.on_exit or state.ignore_invalid_triggers:
            raise ValueError(f"{machine.kind}: state {name!r} with callbacks or ignored triggers cannot be compiled")
    table: dict[str, dict[str, Any]] = {}
    for trigger, event in machine.events.items():
        row = table.setdefault(trigger, {})
        for source, candidates in event.transitions.items():
            if len(candidates) > 1 or any((t.conditions or t.prepare or t.before or t.after) for t in candidates):
                raise ValueError(
                    f"{machine.kind}.{trigger}: a transition with conditions, callbacks or several destinations "
                    "cannot be compiled"
                )
            row[source] = candidates[0].dest or source
    return table


INSTANCE: Final[FastMachine[InstanceState, InstanceTrigger]] = FastMachine(
    "instance",
    states=[*get_args(InstanceState)],
    transitions=[
        ["start", "absent", "starting"],
        ["abort", "starting", "absent"],  # the construction itself failed: there is no adapter to shut down
        ["fail", "starting", "stopping"],  # the server may have loaded something: shut the adapter down
        ["activate", "starting", "active"],
        ["settle", "starting", "idle"],  # ready, and no request waits for it any more
        ["acquire", "idle", "active"],
        ["release", "active", "idle"],
        ["drain", "active", "draining"],
        ["stop", ["starting", "active", "draining", "idle"], "stopping"],
        ["evict", "stopping", "evicted"],
    ],
)

REQUEST: Final[FastMachine[RequestState, RequestTrigger]] = FastMachine(
    "request",
    states=[*get_args(RequestState)],
    transitions=[
        ["wait", "new", "waiting"],
        ["assign", ["new", "waiting"], "assigned"],
        [
            "requeue",
            "assigned",
            "waiting",
        ],  # the start that it had joined failed; the request that caused the start is told
        ["grant", ["new", "waiting", "assigned"], "granted"],
        ["reject", ["new", "waiting", "assigned"], "rejected"],
        ["cancel", ["waiting", "assigned"], "cancelled"],
        ["time_out", ["waiting", "assigned"], "timed_out"],
        ["fail", "assigned", "failed"],
        ["release", "granted", "released"],
        ["revoke", "granted", "revoked"],
    ],
)

POOL: Final[FastMachine[PoolState, PoolTrigger]] = FastMachine(
    "pool",
    states=[*get_args(PoolState)],
    transitions=[
        ["saturate", "open", "saturated"],
        ["relax", "saturated", "open"],
        ["close", ["open", "saturated"], "closing"],
        ["finish", "closing", "closed"],
    ],
)

MANAGER: Final[FastMachine[ManagerState, ManagerTrigger]] = FastMachine(
    "manager",
    states=[*get_args(ManagerState)],
    transitions=[
        ["open", "new", "open"],
        ["close", ["new", "open"], "closing"],
        ["finish", "closing", "closed"],
    ],
)

MACHINES: Final = (INSTANCE, REQUEST, POOL)
"""The machines with many subjects, whose transitions observers are told. The one manager is known by its statistics."""
