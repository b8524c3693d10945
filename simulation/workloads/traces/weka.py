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

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from lzma import LZMAError
from pathlib import Path
from typing import IO, Any, Final
from zlib import error as ZlibError  # noqa: N812  # the module spells its exception in lower case

from ..workload import PlannedCall, Workload
from .fields import TraceError, count_at, list_at, number_at, opened, path_to, text_at

__all__ = ["read_weka_session", "weka_sessions"]

SESSION_BYTES_LIMIT: Final = 256 * 2**20
DEPTH_LIMIT: Final = 8


def weka_sessions(path: Path, *, max_think: float, requests: int | None = None) -> Iterator[Workload]:
    """The sessions in ``path``, one at a time: every ``*.json`` file of an archive (in its order) or a folder (by name), or one file.

    ``max_think`` caps each pause (seconds); ``requests`` keeps only the first N calls of each session. Raises TraceError.
    """
    for name, content in _json_files(path):
        try:
            session = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise TraceError(name, "must be a JSON document", str(error)) from None
        yield read_weka_session(session, name, max_think=max_think, requests=requests)


def _json_files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            yield _whole(file)
    elif path.suffix == ".json":
        yield _whole(path)
    else:
        yield from _json_members(path)


def _whole(file: Path) -> tuple[str, bytes]:
    with opened(file) as stream:
        return str(file), _bounded(stream, str(file))


def _json_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with opened(path) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|*") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.name.endswith(".json") else None
                    if content is not None:
                        name = f"{path}:{member.name}"
                        yield name, _bounded(content, name)
        except (tarfile.TarError, LZMAError, ZlibError, EOFError) as error:
            raise TraceError(
                str(path), "must be an undamaged tar archive, a folder or a .json file", str(error)
            ) from None


def _bounded(stream: IO[bytes], name: str) -> bytes:
    content = stream.read(SESSION_BYTES_LIMIT + 1)
    if len(content) > SESSION_BYTES_LIMIT:
        raise TraceError(name, f"must not be larger than {SESSION_BYTES_LIMIT} bytes", "more")
    return content


def read_weka_session(session: Any, name: str, *, max_think: float, requests: int | None = None) -> Workload:
    """One session as a workload; its agents are ``id`` and ``id/agent_id``. ``name`` says in errors where it came from."""
    place = f"{name}:"
    reader = _SessionReader(max_think, count_at(session, "block_size", place))
    agent = text_at(session, "id", place)
    reader.read(_Conversation(agent, [], 0.0), list_at(session, "requests", place), path_to(place, "requests"))
    assumptions = (
        f"Pauses of a session are cut to at most {max_think:g} s.",
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

    def __init__(self, max_think: float, block_size: int) -> None:
        self.calls: list[PlannedCall] = []
        self._max_think = max_think
        self._block_size = block_size
        self._caches: dict[str, _PromptCache] = {}  # by model

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
        parent.sub_agents_last += self.read(child, list_at(entry, "requests", place), f"{place}.requests")
        end = start + number_at(entry, "duration_ms", place, 0.0) / 1000
        parent.sub_agents_ended = max(end, parent.sub_agents_ended or 0.0)

    def _request(self, conversation: _Conversation, entry: Any, place: str) -> None:
        start = number_at(entry, "t", place)
        thinking = number_at(entry, "think_time", place, 0.0)
        ended = conversation.sub_agents_ended
        pause = self._pause(conversation, thinking if ended is None else start - ended)
        after = tuple(sorted({*conversation.after, *conversation.sub_agents_last}))
        model = text_at(entry, "model", place)
        prompt = count_at(entry, "in", place)
        known = self._caches.setdefault(model, _PromptCache()).known(_blocks(entry, place))
        unread = max(1, prompt - known * self._block_size)
        output = max(1, count_at(entry, "out", place))  # 0: the call was aborted
        cached = max(0, prompt - unread)
        call = PlannedCall(len(self.calls), conversation.agent, model, unread, output, after, pause, cached)
        self.calls.append(call)
        conversation.after = [call.id]
        conversation.sub_agents_last, conversation.sub_agents_ended = [], None
        conversation.answered = start + number_at(entry, "api_time", place, 0.0)

    def _pause(self, conversation: _Conversation, seconds: float) -> float:
        return min(max(0.0, seconds), self._max_think) if conversation.begun else conversation.delay


def _blocks(entry: Any, place: str) -> list[int]:
    blocks = list_at(entry, "hash_ids", place)
    if not all(isinstance(block, int) for block in blocks):
        raise TraceError(f"{place}.hash_ids", "must hold integers only", "others")
    return blocks


class _PromptCache:
    """Every prompt so far, as a tree of blocks: from a node, which is a number, each block leads to another."""

    def __init__(self) -> None:
        self._edges: dict[tuple[int, int], int] = {}

    def known(self, blocks: Sequence[int]) -> int:
        """How many of the first ``blocks`` some earlier prompt begins with. Keeps this one."""
        node = known = 0
        for block in blocks:
            new = len(self._edges) + 1
            node = self._edges.setdefault((node, block), new)
            known += node != new
        return known
