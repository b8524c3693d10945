"""Weka sessions: the conversations of coding agents, as one JSON file each, in a tar archive, a folder, or by itself.

``requests`` are one conversation: each comes after the one before it has been answered, ``think_time`` seconds later. A ``subagent`` entry
is a conversation of its own, with an agent of its own. It begins when the request that precedes it has been answered;
neighbouring sub-agents run side by side, and the next request of the parent waits for all of them. That request's ``think_time`` spans the
sub-agents' run, so only what is left of it after the last of them is taken. Think times are capped, because people leave
sessions open over night.

``hash_ids`` name the blocks of ``block_size`` tokens that a prompt consists of. An agent sends its whole history again and again, which
servers keep in a prompt cache: what has to be read of a prompt is what follows the blocks with which an earlier prompt of
the session to the same model begins as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any, Final

from ..workload import PlannedCall, Workload
from .fields import TraceError, count_at, list_at, number_at, parsed_json, path_to, text_at
from .files import documents, whole
from .notes import Notes
from .prompt_cache import PromptCache, blocks_at
from .schema import TraceCall, TraceFormat, at_least_one_token
from .sessions import calls_of

__all__ = ["FORMAT", "read_weka", "read_weka_session", "weka_sessions"]

DEPTH_LIMIT: Final = 8


def read_weka(path: Path, notes: Notes) -> Iterator[TraceCall]:
    """Yield the calls of Weka sessions, with pauses of any length. Raises TraceError."""
    for session in weka_sessions(path, max_think=inf, notes=notes):
        for sentence in session.assumptions:
            notes.remark(sentence)
        yield from calls_of(session, session.name)


def weka_sessions(
    path: Path, *, max_think: float, requests: int | None = None, notes: Notes | None = None
) -> Iterator[Workload]:
    """Yield the sessions in ``path``: every document of an archive (in its order) or a folder (by name), or one file.

    ``max_think`` caps each pause (seconds); ``requests`` keeps only the first N calls of each session. Raises TraceError.
    """
    notes = notes or Notes()
    for name, stream in documents(path):
        if name == str(path) or name.endswith((".json", ".json.gz", ".json.xz")):
            with notes.row(name):
                session = parsed_json(whole(stream, name), name)
                yield read_weka_session(session, name, max_think=max_think, requests=requests, notes=notes)


def read_weka_session(
    session: Any, name: str, *, max_think: float, requests: int | None = None, notes: Notes | None = None
) -> Workload:
    """Read one session as a workload; its agents are ``id`` and ``id/agent_id``. ``name`` says in errors where it came from."""
    place = f"{name}:"
    reader = _SessionReader(max_think, count_at(session, "block_size", place), notes or Notes())
    agent = text_at(session, "id", place)
    reader.read(_Conversation(agent, [], 0.0), list_at(session, "requests", place), path_to(place, "requests"))
    assumptions = (
        *([f"Pauses of a session are cut to at most {max_think:g} s."] if max_think < inf else []),
        *reader.convention,
        "A sub-agent starts after the request that precedes it; the parent's next request waits for it.",
        "Of a prompt is read what no earlier prompt of its session to the same model begins with: the server's prompt cache has the"
        " rest, for every session, and does not lose it when models are switched.",
    )
    return Workload(agent, tuple(islice(reader.calls, requests)), assumptions)


@dataclass(slots=True)
class _Conversation:
    """One agent's side of a session, as far as it has been read. Times are the trace's, in seconds from the conversation's start."""

    agent: str
    after: list[int]  # what its next request waits for, apart from sub-agents
    delay: float  # of its first request or sub-agent
    depth: int = 1
    begun: bool = False
    answered: float = 0.0  # when the last request was
    sub_agents_ended: float | None = None  # when those since the last request had ended
    sub_agents_last: list[int] = field(default_factory=list)  # their last calls


class _SessionReader:
    """The calls of one session so far."""

    def __init__(self, max_think: float, block_size: int, notes: Notes) -> None:
        self._notes = notes
        self._conventions: set[str] = set()
        self.calls: list[PlannedCall] = []
        self._max_think = max_think
        self._block_size = block_size
        self._caches: dict[str, PromptCache] = {}  # by model

    def read(self, conversation: _Conversation, entries: Sequence[Any], path: str) -> list[int]:
        """Add the calls of ``entries``. Returns the calls that the next request must wait for."""
        if conversation.depth > DEPTH_LIMIT:
            raise TraceError(path, f"must not nest sub-agents deeper than {DEPTH_LIMIT} levels", "more")
        for index, entry in enumerate(entries):
            place = f"{path}[{index}]"
            kind = text_at(entry, "type", place)
            if kind == "subagent":
                self._sub_agent(conversation, entry, place)
            elif kind in ("n", "s"):
                self._request(conversation, entry, place)
            else:
                raise TraceError(f"{place}.type", "must be 'n', 's' or 'subagent'", repr(kind)[:80])
            conversation.begun = True
        return [*conversation.after, *conversation.sub_agents_last]

    def _sub_agent(self, parent: _Conversation, entry: Any, place: str) -> None:
        start = number_at(entry, "t", place)
        pause = self._pause(parent, start - parent.answered)
        agent = f"{parent.agent}/{text_at(entry, 'agent_id', place)}"
        child = _Conversation(agent, parent.after, pause, parent.depth + 1)
        entries = list_at(entry, "requests", place)
        self._see_convention(start, entries, place)
        parent.sub_agents_last += self.read(child, entries, f"{place}.requests")
        end = start + number_at(entry, "duration_ms", place, 0.0) / 1000
        parent.sub_agents_ended = max(end, parent.sub_agents_ended or 0.0)

    def _see_convention(self, start: float, entries: Sequence[Any], place: str) -> None:
        """Times in a sub-agent count from its own start (then some are before it) or from the session's start."""
        times = [number_at(entry, "t", f"{place}.requests[{index}]") for index, entry in enumerate(entries)]
        if start > 0 and times:
            self._conventions.add("the sub-agent's start" if min(times) < start else "the session's start")

    @property
    def convention(self) -> tuple[str, ...]:
        """From where the times of sub-agents' requests count, as a sentence; nothing where no sub-agent tells."""
        found = " or ".join(sorted(self._conventions))
        return (
            (f"Times of sub-agents' requests count from {found}; pauses are differences, so both are read.",)
            if found
            else ()
        )

    def _request(self, conversation: _Conversation, entry: Any, place: str) -> None:
        start = number_at(entry, "t", place)
        thinking = number_at(entry, "think_time", place, 0.0)
        ended = conversation.sub_agents_ended
        pause = self._pause(conversation, thinking if ended is None else start - ended)
        after = tuple(sorted({*conversation.after, *conversation.sub_agents_last}))
        model = text_at(entry, "model", place)
        prompt = count_at(entry, "in", place)
        known = self._caches.setdefault(model, PromptCache()).known(blocks_at(entry, place))
        cached = min(prompt, known * self._block_size)
        read = at_least_one_token(TraceCall(prompt, count_at(entry, "out", place), cached_tokens=cached), self._notes)
        unread = read.prompt_tokens - read.cached_tokens
        tokens = unread, read.completion_tokens
        call = PlannedCall(len(self.calls), conversation.agent, model, *tokens, after, pause, read.cached_tokens)
        self.calls.append(call)
        conversation.after = [call.id]
        conversation.sub_agents_last, conversation.sub_agents_ended = [], None
        conversation.answered = start + number_at(entry, "api_time", place, 0.0)

    def _pause(self, conversation: _Conversation, seconds: float) -> float:
        return min(max(0.0, seconds), self._max_think) if conversation.begun else conversation.delay


FORMAT: Final = TraceFormat(read_weka, (b'"block_size"',))
