"""An answer, made up before it is sent: its pieces, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final, Literal, TypeAlias

from simulation.timing.latency import CHARACTERS_PER_TOKEN

from ..engine.instance import Piece
from ..schema import example
from ..words import made_up_tokens
from .ask import Ask
from .catalogue import DownloadedModel

__all__ = ["DEFAULT_TOKENS", "Ending", "Plan", "StopReason", "plan_answer"]

DEFAULT_TOKENS: Final = 64

StopReason: TypeAlias = Literal[
    "eosFound", "stopStringFound", "toolCalls", "maxPredictedTokensReached", "contextLengthReached"
]


@dataclass(frozen=True, slots=True)
class Ending:
    """How one choice ends, in LM Studio's word. ``stop``: the text at which it stopped."""

    reason: StopReason
    stop: str | None = None

    @property
    def finish_reason(self) -> str:
        """OpenAI's word for it."""
        lengths = ("maxPredictedTokensReached", "contextLengthReached")
        return "tool_calls" if self.reason == "toolCalls" else "length" if self.reason in lengths else "stop"


@dataclass(frozen=True, slots=True)
class Plan:
    """``pieces`` of all choices, one choice after the other; ``endings`` by choice."""

    pieces: tuple[Piece, ...]
    endings: tuple[Ending, ...]


def plan_answer(ask: Ask, model: DownloadedModel, room: int, seed: int) -> Plan:
    """Plan the answer to ``ask`` in at most ``room`` tokens for each choice: always the same for the same arguments.

    Plain text has exactly ``ask.most_tokens`` tokens (64 where that is None), unless a stop string or the end of the context comes first.
    """
    choices = [_choice(ask, model, room, (seed, model.key, ask.prompt, ask.seed or 0), n) for n in range(ask.choices)]
    return Plan(tuple(chain.from_iterable(pieces for pieces, _ in choices)), tuple(ending for _, ending in choices))


def _choice(
    ask: Ask, model: DownloadedModel, room: int, origin: tuple[str | int, ...], number: int
) -> tuple[list[Piece], Ending]:
    most = room if ask.most_tokens is None else min(ask.most_tokens, room)
    full: StopReason = "maxPredictedTokensReached" if most == ask.most_tokens else "contextLengthReached"
    ending = Ending("eosFound")
    if ask.calls:
        pieces, ending = list(islice(_calls(ask), most + 1)), Ending("toolCalls")
    elif ask.schema is not None:
        pieces = list(islice(_split(json.dumps(example(ask.schema))), most + 1))
    else:
        wanted = DEFAULT_TOKENS if ask.most_tokens is None else most
        pieces = [Piece(word) for word in made_up_tokens(wanted, *origin, *([number] if number else []))]
        if ask.most_tokens is not None:
            ending = Ending(full)
    if model.reasons if ask.reasons is None else ask.reasons:
        pieces = _with_reasoning(pieces, plain=not ask.calls and ask.schema is None)
    if len(pieces) > most:
        pieces, ending = pieces[:most], Ending(full)
    pieces, ending = _stopped(pieces, ending, ask.stop)
    return [piece._replace(choice=number) for piece in pieces], ending


def _calls(ask: Ask) -> Iterator[Piece]:
    """Yield the arguments of each call, in pieces."""
    for index, tool in enumerate(ask.calls):
        for piece in _split(json.dumps(example(tool.parameters))):
            yield Piece(piece.text, "call", call=index)


def _with_reasoning(pieces: list[Piece], *, plain: bool) -> list[Piece]:
    """Plain text begins with a quarter of reasoning; what has a form of its own comes after some words."""
    if plain:
        count = len(pieces) // 4
        return [piece._replace(kind="reasoning") for piece in pieces[:count]] + pieces[count:]
    return [Piece(word, "reasoning") for word in made_up_tokens(8, "reasoning")] + pieces


def _stopped(pieces: list[Piece], ending: Ending, stop: tuple[str, ...]) -> tuple[list[Piece], Ending]:
    """Keep what comes before the first stop string in the text."""
    text = "".join(piece.text for piece in pieces if piece.kind == "text")
    found = [(text.find(word), word) for word in stop if word and word in text]
    if not found:
        return pieces, ending
    left, word = min(found)
    kept: list[Piece] = []
    for piece in pieces:
        if piece.kind != "text":
            kept.append(piece)
        elif left > 0:
            kept.append(piece._replace(text=piece.text[:left]))
            left -= len(piece.text)
    return kept, Ending("stopStringFound", word)


def _split(text: str) -> Iterator[Piece]:
    for at in range(0, len(text), CHARACTERS_PER_TOKEN):
        yield Piece(text[at : at + CHARACTERS_PER_TOKEN])
