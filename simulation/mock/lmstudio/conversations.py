"""Stored answers, from which later requests go on."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from . import errors
from .ask import Turn
from .writer import AnswerInProgress

__all__ = ["StoredConversations"]

MOST_KEPT: Final = 1000
MOST_CHARACTERS: Final = 100_000_000


class StoredConversations:
    """The conversations that end in the last thousand stored answers, by the answers' ids; fewer, if they are very long."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Turn, ...]] = OrderedDict()
        self._characters = 0

    def keep(self, answer: AnswerInProgress) -> None:
        """Store an answer that is complete."""
        calls = tuple(tool.name for tool in answer.ask.calls)
        turns = (*answer.ask.turns, Turn("assistant", answer.text(), calls))
        self._kept[answer.id] = turns
        self._characters += _characters(turns)
        while self._kept and (len(self._kept) > MOST_KEPT or self._characters > MOST_CHARACTERS):
            _, oldest = self._kept.popitem(last=False)
            self._characters -= _characters(oldest)

    def recall(self, response_id: str | None) -> tuple[Turn, ...]:
        """Return the conversation up to an answer; nothing for None. Raises Refusal."""
        if response_id is None:
            return ()
        if response_id not in self._kept:
            raise errors.unknown_response(response_id)
        return self._kept[response_id]


def _characters(turns: tuple[Turn, ...]) -> int:
    return sum(len(turn.text) for turn in turns)
