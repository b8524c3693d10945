"""What a request asks for, whichever endpoint it came through, and which tools its answer will call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from simulation.timing.latency import token_count

from . import errors
from .fields import HUGE

__all__ = [
    "MOST_TOOLS",
    "PROMPT_TOKENS_HEADER",
    "Ask",
    "Role",
    "Tool",
    "Turn",
    "chosen_tools",
    "prompt_tokens",
    "text_of",
]

PROMPT_TOKENS_HEADER: Final = "x-mock-prompt-tokens"
MOST_TOOLS: Final = 1024


Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. ``parameters`` is a JSON schema."""

    name: str
    parameters: object


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. ``calls`` names the tools that an assistant's message called."""

    role: Role
    text: str
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for an answer, checked.

    ``most_tokens``: None is no bound. ``calls``: the tools that the answer calls. ``schema``: the answer is JSON of it.
    ``reasons``: whether reasoning comes first (None: as the model does). ``logprobs``: how many alternatives of each token are told (None:
    nothing is). ``ttl`` (seconds) and ``context_length`` (tokens) are for a load that the request causes. ``store``: a later request may go
    on from the answer, as this one does from ``previous``. ``integrations``: tools that the server itself calls. ``echo``: members of the
    request that the answer repeats.
    """

    model: str
    turns: tuple[Turn, ...]
    prompt_tokens: int
    most_tokens: int | None = None
    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    seed: int | None = None
    stop: tuple[str, ...] = ()
    calls: tuple[Tool, ...] = ()
    schema: object = None
    reasons: bool | None = None
    logprobs: int | None = None
    ttl: float | None = None
    context_length: int | None = None
    store: bool = False
    previous: str | None = None
    integrations: tuple[Mapping[str, Any], ...] = ()
    echo: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The texts of all messages."""
        return "\n".join(turn.text for turn in self.turns if turn.text)


def prompt_tokens(turns: Sequence[Turn], headers: Mapping[str, str]) -> int:
    """Return how long the prompt is: a quarter of its characters, or as the request's header says. Raises Refusal."""
    hint = headers.get(PROMPT_TOKENS_HEADER)
    if hint is None:
        return token_count("\n".join(turn.text for turn in turns if turn.text))
    if not (hint.isascii() and hint.isdigit() and len(hint) <= len(str(HUGE)) and int(hint) <= HUGE):
        raise errors.invalid_type(PROMPT_TOKENS_HEADER, f"a number of tokens, at most {HUGE}")
    return int(hint)


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or an array of parts of which some have a text."""
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text", part.get("content")) if isinstance(part, Mapping) else part for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def chosen_tools(tools: Sequence[Tool], choice: str, turns: Sequence[Turn]) -> tuple[Tool, ...]:
    """Return the tools that the answer calls, by a rule that ends every agent's loop.

    ``choice`` is ``none``, ``auto``, ``required``, or a tool's name. With ``auto``, the answer to a user's message calls the tools that the
    message names, or else the first; once a tool has answered, text follows. With ``required`` it calls one tool in any case: the first
    that has not been called since the user's message, or else the last.
    """
    if choice == "none" or not tools:
        return ()
    by_name = {tool.name: tool for tool in tools}
    if choice not in ("auto", "required"):
        return (by_name[choice],) if choice in by_name else ()
    last = max((index for index, turn in enumerate(turns) if turn.role == "user"), default=-1)
    since = turns[last + 1 :]
    called = {name for turn in since for name in turn.calls}
    if choice == "required":
        return (next((tool for tool in tools if tool.name not in called), tools[-1]),)
    if any(turn.role == "tool" for turn in since):
        return ()
    named = tuple(tool for tool in tools if last >= 0 and tool.name in turns[last].text)
    return named or (tools[0],)
