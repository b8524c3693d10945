"""Programs: what the suite does to an adapter, as plain data. A program prints as the Python that makes it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

__all__ = ["Agents", "Call", "Operation", "Program", "Shutdown", "Start", "Together", "Visit", "shown", "size"]


class _Brief:
    """Shows only the fields that differ from their defaults."""

    __slots__ = ()

    def __repr__(self) -> str:
        given = [
            f"{field.name}={value!r}"
            for field in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"


@dataclass(frozen=True, slots=True, repr=False)
class Start(_Brief):
    """Await ``start()``. ``fault`` is what the server does wrong meanwhile; ``cancel_at`` the step after which it is cancelled,
    ``deadline`` the seconds after which it is."""

    fault: str | None = None
    cancel_at: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Shutdown(_Brief):
    """Await ``shutdown()``, as in Start, but for a deadline."""

    fault: str | None = None
    cancel_at: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Call(_Brief):
    """Make one call with a prompt of ``words`` words, and read its stream.

    ``read``: close the stream after that many events (None: read to the end). ``pause``: seconds before each further event.
    ``linger``: seconds to wait, once, after the first event. ``tools``: offer a tool. ``stream``: ask the server for a stream.
    ``earlier``: messages go before the prompt. ``deadline``: seconds after which it is cancelled.
    """

    words: int = 3
    read: int | None = None
    pause: float = 0
    linger: float = 0
    fault: str | None = None
    cancel_at: int | None = None
    tools: bool = False
    stream: bool = True
    earlier: bool = False
    deadline: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Together(_Brief):
    """Make calls at the same time. ``hold``: each reads one event, and goes on once all have theirs."""

    calls: tuple[Call, ...]
    hold: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Visit(_Brief):
    """One call of an agent through a manager, of model 0 or 1, closed after ``read`` events (None: read to the end)."""

    model: int = 0
    words: int = 3
    read: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Agents(_Brief):
    """A ``ProviderManager`` with the adapter, and agents that make their visits one after the other. It stands alone in its program."""

    agents: tuple[tuple[Visit, ...], ...]


Operation: TypeAlias = Start | Shutdown | Call | Together | Agents
Program: TypeAlias = tuple[Operation, ...]
"""The adapter is constructed before the first operation, and shut down after the last one if it has not been."""


def size(program: Program) -> tuple[int, int]:
    """Return what makes one program shorter than another: its operations, then what they say."""
    return len(program), len(repr(program))


def shown(program: Program) -> str:
    """Write the program as Python, one operation a line where it has several."""
    if len(program) < 2:
        return f"{program!r}"
    return "(\n" + "".join(f"        {operation!r},\n" for operation in program) + "    )"
