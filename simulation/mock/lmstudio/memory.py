"""Stored answers, from which later requests go on."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from . import errors
from .ask import Turn
from .writer import Answer

__all__ = ["Memory"]

MOST_KEPT: Final = 1000


class Memory:
    """The conversations that end in the last thousand stored answers, by the answers' ids."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Turn, ...]] = OrderedDict()

    def keep(self, answer: Answer) -> None:
        """Store an answer that is complete."""
        calls = tuple(tool.name for tool in answer.ask.calls)
        self._kept[answer.id] = (*answer.ask.turns, Turn("assistant", answer.text(), calls))
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def recall(self, response_id: str | None) -> tuple[Turn, ...]:
        """The conversation up to an answer; nothing for None. Raises Refusal."""
        if response_id is None:
            return ()
        if response_id not in self._kept:
            raise errors.unknown_response(response_id)
        return self._kept[response_id]
