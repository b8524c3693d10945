"""Lives to be run: drawn from a seed, or small and written by hand."""

from __future__ import annotations

import random
from typing import Final

from .agents import BEHAVIOURS, Acquire, Agent, End, Hold, Operation, Stream
from .life import Life, live
from .subject import PRODUCTION, Subject, subject_of

__all__ = ["SMALL", "draw", "drawn", "small"]

_PROVIDERS: Final = ("api", "local", "other")


def draw(seed: int) -> Life:
    """The life of this number: up to five agents, each with up to six operations."""
    r = random.Random(seed)
    return Life(
        agents=tuple(_agent(r) for _ in range(r.randint(1, 5))),
        lasts=r.choice([None, None, 2, 5, 9]),
        ends=r.choice(["leave", "leave", "raise", "cancel"]),
        parallel=r.randint(1, 3),
        options={
            "max_parallel_api_instances_per_provider": r.randint(1, 3),
            "api_instance_idle_timeout_seconds": r.choice([None, 2]),
            "on_limit": r.choice(["wait", "raise"]),
            "on_conflict": r.choice(["wait", "raise"]),
            "local_scope": r.choice(["all", "endpoint"]),
            "max_waiting": r.choice([None, 0, 2]),
            "acquire_timeout": 40,  # bounds waits across pools in opposite orders, as nothing else does
            "start_timeout": r.choice([8, 20]),
        },
    )


def _agent(r: random.Random) -> Agent:
    begins = r.choice([0, 1, 2, 4])
    return Agent(begins, r.choice([None, None, 1, 3, 6]), tuple(_operation(r) for _ in range(r.randint(1, 6))))


def _operation(r: random.Random) -> Operation:
    provider, behaviour = r.choice(_PROVIDERS), r.choice(list(BEHAVIOURS))
    kind = r.randrange(4)
    if kind == 0:
        return Acquire(provider, behaviour, r.choice([None, 0, 1, 3]), r.randint(0, 1))
    if kind == 1:
        return Hold(r.choice([0, 1, 2, 4, 20]))
    if kind == 2:
        return End(r.choice(["release", "twice", "broken", "drop"]))
    return Stream(provider, behaviour, r.choice([None, 0, 1]))


def _asks(provider: str, behaviour: str = "quick") -> Acquire:
    return Acquire(provider, behaviour, None, 0)


_WAITS: Final = {
    "max_parallel_api_instances_per_provider": 1,
    "on_conflict": "wait",
    "api_instance_idle_timeout_seconds": None,
}
_SWITCH: Final = Agent(0, None, (_asks("local", "shutdown fails"), End("release")))

SMALL: Final[dict[str, Life]] = {
    "a hand-off": Life((Agent(0, None, (_asks("api"),)), Agent(0, None, (_asks("api"),))), options=_WAITS),
    "a cancelled start": Life((Agent(0, 0, (_asks("api"),)), Agent(0, None, (_asks("api"),))), options=_WAITS),
    "a cancelled hand-off": Life((Agent(0, None, (_asks("api"),)), Agent(0, 0, (_asks("api"),))), options=_WAITS),
    "a switch": Life((Agent(0, None, (_asks("local"),)), _SWITCH), options=_WAITS),
    "a shared start that fails": Life(
        (Agent(0, None, (_asks("local", "start fails"),)), Agent(0, None, (_asks("local", "start fails"),))),
        parallel=2,
        options=_WAITS,
    ),
    "a broken release": Life(
        (Agent(0, None, (_asks("local"), End("broken"))), Agent(0, None, (_asks("local"),))),
        parallel=2,
        options=_WAITS,
    ),
    "a cancelled close": Life((Agent(0, None, (_asks("api"),)),), 0, "cancel", options=_WAITS),
    "a stream and a close": Life((Agent(0, None, (Stream("api", "quick", 1),)),), 0, "raise", options=_WAITS),
}
"""Small enough for every schedule of theirs to be run."""


async def drawn(seed: int, subject: Subject | str = PRODUCTION) -> None:
    """The life of this number, as a program with a name. ``subject``: also as a name to import it by."""
    await live(draw(seed), subject_of(subject))


async def small(name: str, subject: Subject | str = PRODUCTION) -> None:
    """The small life of this name, as a program with a name. ``subject``: also as a name to import it by."""
    await live(SMALL[name], subject_of(subject))
