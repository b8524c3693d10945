"""Coverage of the coordinator's decisions: which outcomes each has had, found from the transitions and the answers of each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ..core.events import Cancelled, Reject, Released, StartSucceeded, Transition
from ..properties.property import Step

__all__ = ["Branch", "branches", "every_branch"]


class Branch(NamedTuple):
    """One outcome of one decision."""

    decision: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.decision}: {self.outcome}"


def _outcomes(decision: str, *outcomes: str) -> dict[str, Branch]:
    return {outcome: Branch(decision, outcome) for outcome in outcomes}


PLACE: Final = _outcomes(
    "place", "idle instance", "spare slot", "join a start", "join a plan", "new instance", "evict", "succeed", "wait"
)
REFUSE: Final = _outcomes(
    "refuse",
    *(f"newcomer, {cause}" for cause in ("limit", "queue full", "conflict", "busy", "closed")),
    *(f"waiter, {cause}" for cause in ("conflict", "busy", "timed out", "closed")),
    *(f"assigned, {cause}" for cause in ("timed out", "start failed", "start overdue", "closed")),
)
CANCEL: Final = _outcomes(
    "cancel", "waiting", "the start goes on", "the plan is dropped", "the plan goes on", "granted"
)
RELEASE: Final = _outcomes(
    "release", "over", "idle", "stop: broken", "stop: draining", "stop: closing", "others stay", "drain", "others drain"
)
START: Final = _outcomes(
    "start ends", "granted", "settled", "stop: closing", "failed: told", "failed: requester gone", "requeued"
)
STOP: Final = _outcomes("stop ends", "place is free", "successor starts")


def every_branch() -> list[Branch]:
    """Return every outcome of every decision."""
    return [branch for outcomes in (PLACE, REFUSE, CANCEL, RELEASE, START, STOP) for branch in outcomes.values()]


def branches(step: Step, fired: Sequence[Transition]) -> list[Branch]:
    """Return the outcomes of the decisions that ``step`` took. ``fired``: its transitions, in order."""
    found: list[Branch] = []
    for position, one in enumerate(fired):
        look = _LOOK.get((one.machine, one.trigger, one.source))
        if look is not None and (branch := look(step, fired, position)) is not None:
            found.append(branch)
    for effect in step.effects:
        if isinstance(effect, Reject):
            who = _WHO[step.before.requests.get(effect.ticket)]
            found.append(Branch("refuse", f"{who}, {effect.cause.value}"))
    event = step.event
    if isinstance(event, Released) and step.before.requests.get(event.ticket) != "granted":
        found.append(RELEASE["over"])
    elif isinstance(event, Cancelled) and step.before.requests.get(event.ticket) == "granted":
        found.append(CANCEL["granted"])
    return found


_WHO: Final = {None: "newcomer", "waiting": "waiter", "assigned": "assigned"}
_Look = Callable[[Step, Sequence[Transition], int], Branch | None]


def _ticket(one: Transition) -> int:
    assert isinstance(one.subject, int), "of a request"
    return one.subject


def _granted_at_once(step: Step, fired: Sequence[Transition], position: int) -> Branch:
    following = fired[position + 1 : position + 2]
    return PLACE["idle instance" if following and following[0].trigger == "acquire" else "spare slot"]


def _assigned(step: Step, fired: Sequence[Transition], position: int) -> Branch:
    instance = step.after.requests[_ticket(fired[position])].instance
    assert instance is not None, "an assigned request has an instance"
    if instance.id in step.before.instances or next(iter(instance.assigned)) != fired[position].subject:
        return PLACE["join a start" if instance.state == "starting" else "join a plan"]
    leaving = instance.predecessor
    if leaving is None:
        return PLACE["new instance"]
    evicted = any(one.subject == leaving.id and one.source == "idle" for one in fired if one.machine == "instance")
    return PLACE["evict" if evicted else "succeed"]


def _cancelled(step: Step, fired: Sequence[Transition], position: int) -> Branch:
    instance = step.before.instance_of[_ticket(fired[position])]
    if step.before.instances[instance] == "starting":
        return CANCEL["the start goes on"]
    return CANCEL["the plan goes on" if instance in step.after.instances else "the plan is dropped"]


def _released(step: Step, fired: Sequence[Transition], position: int) -> Branch:
    instance = step.before.instance_of[_ticket(fired[position])]
    for one in fired:
        if one.machine == "instance" and one.subject == instance:
            if one.trigger == "release":
                return RELEASE["idle"]
            if one.trigger == "drain":
                return RELEASE["drain"]
            if one.source == "draining":
                return RELEASE["stop: draining"]
            return RELEASE["stop: closing" if step.after.state != "open" else "stop: broken"]
    return RELEASE["others drain" if step.before.instances[instance] == "draining" else "others stay"]


def _failed(step: Step, fired: Sequence[Transition], position: int) -> Branch | None:
    told = any(one.machine == "request" and one.trigger == "fail" for one in fired)
    return None if told else START["failed: requester gone"]


def _down(step: Step, fired: Sequence[Transition], position: int) -> Branch:
    following = fired[position + 1 : position + 2]
    return STOP["successor starts" if following and following[0].trigger == "start" else "place is free"]


def _stopped_at_its_start(step: Step, fired: Sequence[Transition], position: int) -> Branch | None:
    return START["stop: closing"] if isinstance(step.event, StartSucceeded) else None


def _always(branch: Branch) -> _Look:
    return lambda step, fired, position: branch


_LOOK: Final[dict[tuple[str, str, str], _Look]] = {
    ("request", "grant", "new"): _granted_at_once,
    ("request", "grant", "waiting"): _granted_at_once,
    ("request", "grant", "assigned"): _always(START["granted"]),
    ("request", "assign", "new"): _assigned,
    ("request", "assign", "waiting"): _assigned,
    ("request", "wait", "new"): _always(PLACE["wait"]),
    ("request", "requeue", "assigned"): _always(START["requeued"]),
    ("request", "fail", "assigned"): _always(START["failed: told"]),
    ("request", "cancel", "waiting"): _always(CANCEL["waiting"]),
    ("request", "cancel", "assigned"): _cancelled,
    ("request", "release", "granted"): _released,
    ("instance", "settle", "starting"): _always(START["settled"]),
    ("instance", "stop", "starting"): _stopped_at_its_start,
    ("instance", "fail", "starting"): _failed,
    ("instance", "abort", "starting"): _failed,
    ("instance", "evict", "stopping"): _down,
}
