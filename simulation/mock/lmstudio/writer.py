"""An answer on its way, and what turns it into the bodies and events of an endpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from string import ascii_lowercase, digits
from typing import ClassVar, TypeAlias

from ..engine.instance import Piece
from ..http import Body, frame
from .ask import Ask
from .catalogue import DownloadedModel
from .errors import Refusal
from .plan import Plan
from .settings import Settings

__all__ = ["AnswerInProgress", "Dialect", "PieceGroup", "Writer", "as_it_is", "runs"]


@dataclass(slots=True, eq=False, kw_only=True)
class AnswerInProgress:
    """One answer: what was asked, what is planned, and what has been made of it.

    Times are in seconds on trio's clock; ``created`` is in Unix time. ``model`` is the id of the instance that answers, ``id`` the writer's
    for the answer. ``load_seconds``: of a load that the request caused.
    """

    ask: Ask
    settings: Settings
    model: str
    spec: DownloadedModel
    created: int
    began: float
    random: Random
    id: str = ""
    context_length: int = 0
    plan: Plan = field(default_factory=lambda: Plan((), ()))
    load_seconds: float | None = None
    first: float | None = None
    last: float = 0.0
    made: list[Piece] = field(default_factory=list)

    def take(self, pieces: Sequence[Piece], now: float) -> None:
        """Add ``pieces``, which have been made."""
        self.first = now if self.first is None else self.first
        self.last = now
        self.made.extend(pieces)

    def text(self, choice: int = 0, kind: str = "text", call: int = 0) -> str:
        """Return what has been made of one kind."""
        return "".join(p.text for p in self.made if (p.choice, p.kind, p.call) == (choice, kind, call))

    def count(self, kind: str) -> int:
        """Tokens made of one kind."""
        return sum(1 for piece in self.made if piece.kind == kind)

    def new_id(self, prefix: str, length: int, letters: str = ascii_lowercase + digits) -> str:
        """Return an id that the same request to the same server gets again."""
        return prefix + "".join(self.random.choices(letters, k=length))

    @property
    def time_to_first_token(self) -> float:
        """From the request on."""
        return 0.0 if self.first is None else self.first - self.began

    @property
    def tokens_per_second(self) -> float:
        """From the first token on."""
        seconds = 0.0 if self.first is None else self.last - self.first
        return (len(self.made) - 1) / seconds if seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class PieceGroup:
    """Pieces that follow each other and belong together."""

    choice: int
    kind: str
    call: int
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.texts)


def runs(pieces: Sequence[Piece]) -> Iterator[PieceGroup]:
    """Join ``pieces`` where they belong together."""
    for (choice, kind, call), group in groupby(pieces, lambda piece: (piece.choice, piece.kind, piece.call)):
        yield PieceGroup(choice, kind, call, tuple(piece.text for piece in group))


class Writer(ABC):
    """Turns one answer into an endpoint's events, or its one body. ``opens_early``: the stream begins before the model is loaded."""

    opens_early: ClassVar = False

    def __init__(self, answer: AnswerInProgress) -> None:
        self.answer = answer

    def begin(self) -> list[bytes]:
        """Return what comes before the first piece."""
        return []

    def loading(self, progress: float) -> list[bytes]:
        """Report the request's own load, from 0 to 1; for writers that open early."""
        return []

    def loaded(self) -> list[bytes]:
        """Report that this load is over."""
        return []

    def reading(self, progress: float) -> list[bytes]:
        """Report the prompt, from 0 to 1; for writers that open early."""
        return []

    @abstractmethod
    def add(self, pieces: Sequence[Piece]) -> list[bytes]:
        """Return the next pieces of the answer."""

    @abstractmethod
    def end(self) -> list[bytes]:
        """Return what closes a stream."""

    def error(self, refusal: Refusal) -> list[bytes]:
        """Return what closes a stream that fails."""
        error = refusal.body["error"]
        error = {"message": error} if isinstance(error, str) else error
        if self.answer.settings.profile.named_stream_errors:
            return [frame(error, event="error")]
        return [frame({"error": error})]

    @abstractmethod
    def whole(self) -> Body:
        """Return the answer in one piece."""


Translate: TypeAlias = Callable[[Refusal], Refusal]


def as_it_is(refusal: Refusal) -> Refusal:
    """Return ``refusal`` as it is: for endpoints that speak as OpenAI's do."""
    return refusal


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an endpoint answers: its writer, its form of a refusal, and the indentation of its JSON."""

    writer: Callable[[AnswerInProgress], Writer]
    refusal: Translate = as_it_is
    pretty: bool = False
