"""What a driver sends for a planned call: a prompt of the size that the plan says, and parameters.

The mock server takes the size from a header, so that long replays need not carry long texts. A real server gets a text: short common
words, which are one token each in most vocabularies; how many tokens they are to this server can be measured. The cached part of a prompt
is the same text in every call of its agent, so a server with a prompt cache finds it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol

from ..mock.lmstudio.ask import PROMPT_TOKENS_HEADER
from ..workloads.workload import PlannedCall, prompt_text

__all__ = ["MockRequests", "RequestStyle", "SizedRequests", "Wording"]

_COMMON: Final = "the of and to in is it for on as with was at by this from or an are be that not but we you can all one has more will"
WORDS: Final = tuple(_COMMON.split())


class RequestStyle(Protocol):
    """How a planned call becomes a request."""

    def prompt(self, call: PlannedCall) -> str:
        """Return the text of the only message."""
        ...

    def parameters(self, call: PlannedCall) -> dict[str, Any]:
        """Return the parameters, ``max_tokens`` among them."""
        ...


class MockRequests:
    """Short prompts, whose size the mock server reads from a header."""

    def prompt(self, call: PlannedCall) -> str:
        return prompt_text(call)

    def parameters(self, call: PlannedCall) -> dict[str, Any]:
        return {"max_tokens": call.output_tokens, "extra_headers": {PROMPT_TOKENS_HEADER: str(call.prompt_tokens)}}


@dataclass(frozen=True)
class Wording:
    """How a prompt's words become tokens: each is ``tokens_per_word``, and the chat's template has ``fixed`` more."""

    tokens_per_word: float = 1.0
    fixed: float = 0.0

    def words(self, tokens: float) -> int:
        """Return how many words make ``tokens`` tokens, with the template's."""
        return max(0, round((tokens - self.fixed) / self.tokens_per_word))


@dataclass(frozen=True)
class SizedRequests:
    """Prompts of as many words as each model's ``wording`` says (one a token where it says nothing), and ``extra`` parameters."""

    wording: Mapping[str, Wording] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def prompt(self, call: PlannedCall) -> str:
        """Return the agent's own beginning as far as it is cached, then words that no other call begins with."""
        wording = self.wording.get(call.model, Wording())
        shared = round(call.cached_tokens / wording.tokens_per_word)
        own = wording.words(call.cached_tokens + call.prompt_tokens) - shared
        rng = Random(f"call {call.id}")
        words = [*_beginning(call.agent, shared), str(call.id), *rng.choices(WORDS, k=max(0, own - 1))]
        return " ".join(words)

    def parameters(self, call: PlannedCall) -> dict[str, Any]:
        return {"max_tokens": call.output_tokens, **self.extra}


def _beginning(agent: str, words: int) -> list[str]:
    return Random(f"agent {agent}").choices(WORDS, k=words)
