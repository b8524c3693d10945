"""automat's ``TypeMachineBuilder``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from automat import TypeMachineBuilder


class Instance(Protocol):
    """Its inputs."""

    def acquire(self) -> None: ...
    def release(self) -> None: ...


class Core:
    """Its data: none."""


def trigger(operations: int) -> Callable[[], float]:
    """A round: seconds per trigger."""
    builder = TypeMachineBuilder(Instance, Core)
    idle, active = builder.state("idle"), builder.state("active")
    idle.upon(Instance.acquire).to(active).returns(None)
    active.upon(Instance.release).to(idle).returns(None)
    instance = builder.build()(Core())

    def make_round() -> float:
        began = time.process_time()
        for _ in range(operations):
            instance.acquire()
            instance.release()
        return (time.process_time() - began) / (2 * operations)

    return make_round
