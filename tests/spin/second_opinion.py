"""The specifications in ``tests/spin``, explored by SPIN: sizes, and the steps by which they are compared with the coordinator."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Literal, NamedTuple

from adapters import FakeAdapter
from statemachine import ProviderConfig, ProviderManagerConfig
from statemachine.checking.scenario import Scenario, Wish
from statemachine.policies import Fifo

SPECIFICATIONS: Final = Path(__file__).parent
MISSING: Final = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
NONE: Final = 9  # as in requests.pml


class Size(NamedTuple):
    """How large both sides are: askers for each configuration, and a pool's ``limit`` or a slot's ``parallel``."""

    specification: str  # "pool" or "slot"
    askers: tuple[int, ...]
    places: int
    raises: bool = False

    def __str__(self) -> str:
        askers = "+".join(map(str, self.askers))
        places = f"{'limit' if self.specification == 'pool' else 'parallel'} {self.places}"
        return f"{self.specification}, {askers}, {places}, {self.mode}"

    @property
    def mode(self) -> Literal["wait", "raise"]:
        """What happens to a request that cannot be placed."""
        return "raise" if self.raises else "wait"

    def defines(self) -> dict[str, int]:
        """For the specification."""
        counts = {f"OF_{model}": count for model, count in enumerate(self.askers)}
        return counts | {"LIMIT" if self.specification == "pool" else "PARALLEL": self.places, "RAISE": self.raises}

    def scenario(self) -> Scenario:
        """For the checker."""
        if self.specification == "pool":
            provider = ProviderConfig("api", FakeAdapter, limit=self.places)
            config = ProviderManagerConfig([provider], on_limit=self.mode)
        else:
            provider = ProviderConfig("local", FakeAdapter, is_local=True, parallel=self.places)
            config = ProviderManagerConfig([provider], on_conflict=self.mode, policy=Fifo)
        wishes = (Wish(provider.name, str(m), n, timeout=1.0, renew=True) for m, n in enumerate(self.askers) if n)
        return Scenario(str(self), config, tuple(wishes))


SIZES: Final = (
    Size("slot", (1, 1, 1), 1),
    Size("slot", (2, 1), 2),
    Size("slot", (2, 1), 1, raises=True),
    Size("slot", (3, 1), 2, raises=True),
    Size("pool", (1, 1, 1), 1),
    Size("pool", (2, 1), 2),
    Size("pool", (2, 1), 2, raises=True),
)
LARGE: Final = (
    Size("slot", (2, 2, 2), 1),
    Size("slot", (3, 2, 1), 2),
    Size("slot", (4, 2), 3),
    Size("slot", (3, 3, 2), 2, raises=True),
    Size("pool", (2, 2, 1), 1),
    Size("pool", (1, 1, 1), 2),
    Size("pool", (2, 2), 2),
    Size("pool", (2, 1, 1), 2),
    Size("pool", (2, 2, 2), 2, raises=True),
)
"""Minutes, most of them the coordinator's."""


class Edge(NamedTuple):
    """One step: the state before, what happened, whose requests ended how, the state after. A state reads ``phase;instances;requests``."""

    before: str
    event: str
    ended: str
    after: str


def states(edges: set[Edge]) -> set[str]:
    """Every state that a step begins or ends in."""
    return {state for edge in edges for state in (edge.before, edge.after)}


class Answer(Enum):
    """What a search for what is wrong has found."""

    NOTHING = "errors: 0"
    ASSERTION = "assertion violated"
    CYCLE = "acceptance cycle"


@dataclass(frozen=True)
class Verifier:
    """A specification, translated and compiled in a directory of its own."""

    directory: Path

    @classmethod
    def build(cls, directory: Path, size: Size, *, watched: int | None = None, **switches: int) -> Verifier:
        """Without optimisation: compiling takes longer than searching. ``watched``: for liveness, the asker that must be served."""
        defines = size.defines() | switches
        kind = ["-DSAFETY", "-DNOCLAIM", "-DPRINTF"]
        if watched is not None:
            defines |= {"LIVENESS": 1, "WATCHED": watched}
            kind = ["-DNFAIR=5"]  # enough for 26 processes
        source = SPECIFICATIONS / f"{size.specification}.pml"
        _run(directory, "spin", "-a", *(f"-D{name}={int(value)}" for name, value in defines.items()), str(source))
        _run(directory, "gcc", "-w", "-DNOREDUCE", *kind, "-o", "pan", "pan.c")
        return cls(directory)

    def edges(self) -> set[Edge]:
        """Everything, as printed. Raises AssertionError if an assertion of the specification fails."""
        output = self._search("-E")
        assert _answer(output) is Answer.NOTHING, output[-2000:]
        return {_edge(*line[1:].split("|")) for line in output.splitlines() if line.startswith("@")}

    def safety(self) -> Answer:
        """The specification's assertions."""
        return _answer(self._search("-E"))

    def liveness(self, *, fair: bool = True) -> Answer:
        """Whether the watched asker is always served, under weak fairness or without; assertions are not looked at."""
        return _answer(self._search("-a", "-A", *(["-f"] if fair else [])))

    def _search(self, *options: str) -> str:
        return _run(self.directory, str(self.directory / "pan"), "-n", "-m1000000", "-w20", *options)


def _run(directory: Path, *command: str) -> str:
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout


def _answer(output: str) -> Answer:
    assert "max search depth too small" not in output
    (answer,) = (answer for answer in Answer if answer.value in output)
    assert answer is not Answer.NOTHING or "Search not completed" not in output
    return answer


def _edge(before: str, event: str, ended: str, after: str) -> Edge:
    return Edge(_read(before), event, joined(ended.split(",")), _read(after))


def _read(printed: str) -> str:
    phase, instances, requests, idle = printed.split(";")
    return describe(phase, instances.split(","), requests.split(","), idle.split(","))


def describe(phase: str, instances: list[str], requests: list[str], idle: list[str]) -> str:
    """A state as both sides write it."""
    return ";".join((phase, joined(sorted(instances)), joined(requests), joined(idle)))  # instances have no order


def joined(parts: list[str]) -> str:
    """What there is of ``parts``."""
    return ", ".join(filter(None, parts))


def row(size: Size, edges: set[Edge]) -> str:
    """A line of the table in docs/second-opinion.md."""
    return f"| {size} | {len(states(edges)):,} | {len(edges):,} |"
