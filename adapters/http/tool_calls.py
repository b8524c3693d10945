"""Tool calls from fragments, over a whole answer.

Which call a piece belongs to is said in several ways. OpenAI numbers the calls of an answer and gives the id with the first piece of each.
Some servers count afresh in each chunk, so that every call has index 0 and an id of its own; some send no index, some no id. The rules:

1. An id that is open at the index (or anywhere, where there is no index) continues its call; another id begins a call of its own. So does
   the same id with a name and more arguments, where those of the open call are complete: some servers have one id for all. But the
   same id, name and arguments once more are the same call, told again at the end.
2. A piece without an id continues the call that is open at its index; without an index, the last one, or the one at its place
   in a chunk of several. But a piece with a name begins a call where the open one has a name and complete arguments already.
3. In a stream the empty object at the beginning of a call may stand for arguments that follow: it is held back, and told at the end of
   an answer in which none did. Until then a piece with the same id and name belongs to the call. A call that was told no arguments at
   all has the empty object.

Arguments are JSON text, whatever the server sends and calls them: an object is written as text, the empty object too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from statemachine.config.call import ToolCall
from statemachine.text import encodable

from .bounds import TOOL_CALL_LIMIT
from .nothing import is_nothing
from .parts import TextJoiner, UnreadableError

__all__ = ["ToolCalls"]

_TOKENS: Final = re.compile(r'[{}\[\]"\\]')
_EMPTY_OBJECT: Final = re.compile(r"\s*\{\s*\}\s*")
_ARGUMENTS: Final = ("arguments", "parameters", "args", "input")


@dataclass(slots=True)
class _Open:
    """One call, as far as it is known."""

    number: int
    id: str | None
    name: str | None = None
    placeholder: str = ""  # an empty object that was held back
    begun: bool = False  # arguments were told
    joiner: TextJoiner = field(default_factory=TextJoiner)
    depth: int = 0
    in_string: bool = False
    escaped: bool = False
    complete: bool = False  # its arguments are a JSON object or list that is closed
    digest: Any = field(default_factory=hashlib.blake2b)  # of the arguments that were told

    def is_told_again(self, name: str | None, arguments: str) -> bool:
        """Return whether a piece with the same id is the whole call once more, as some servers send it at the end."""
        whole = self.complete and self.begun and name is not None and name == self.name
        return whole and hashlib.blake2b(encodable(arguments).encode()).digest() == self.digest.digest()

    def ends_before(self, name: str) -> bool:
        """Return whether a piece with this name, and with arguments, belongs to another call: this one has all of its own."""
        return self.name is not None and self.complete and not (self.placeholder and self.name == name)

    def take(self, arguments: str, whole: bool) -> str:
        """Return what of the call's next arguments can be told now."""
        if not (self.begun or whole) and _EMPTY_OBJECT.fullmatch(self.placeholder + arguments):
            self.placeholder += arguments
            return ""
        if arguments:
            self.begun, self.complete, self.placeholder = True, False, ""
        shown = self.joiner.feed(arguments)
        self.digest.update(shown.encode())
        return shown

    def finish(self) -> str:
        """Return what is left at the end: where no arguments were told, there are none."""
        rest = self.placeholder + self.joiner.finish()
        return rest if rest or self.begun else "{}"


class ToolCalls:
    """The calls of one answer. Calls are numbered in the order in which they begin."""

    def __init__(self) -> None:
        self._calls: list[_Open] = []
        self._at: dict[int, _Open] = {}  # the call that is open at each index of the server
        self._by_id: dict[tuple[int | None, str | None], _Open] = {}

    def read(self, calls: object, *, whole: bool) -> Iterator[ToolCall]:
        """Yield the pieces in the ``tool_calls`` of one delta or message. ``whole``: nothing follows on them. Raises UnreadableError."""
        if isinstance(calls, Mapping) and calls:
            calls = list(calls.values()) if all(map(_is_number, calls)) else [calls]
        if not isinstance(calls, list):
            if not is_nothing(calls):
                raise UnreadableError(f"tool calls that are a {type(calls).__name__}")
            return
        pieces = [call for call in calls if call is not None and call != {}]
        before = len(self._calls)
        for place, piece in enumerate(pieces):
            if not isinstance(piece, Mapping):
                raise UnreadableError(f"a tool call that is a {type(piece).__name__}")
            told = self._piece(piece, place if len(pieces) > 1 and before else None, whole)
            if told is not None:
                yield told

    @property
    def count(self) -> int:
        """How many calls have begun."""
        return len(self._calls)

    @property
    def nameless(self) -> bool:
        """Whether a call has no name: what it calls cannot be told."""
        return any(call.name is None for call in self._calls)

    def finish(self) -> Iterator[ToolCall]:
        """Yield what is left at the end: empty objects that stood for nothing else, and halves of characters."""
        for call in self._calls:
            if rest := call.finish():
                yield ToolCall(call.number, arguments=rest)

    def _piece(self, piece: Mapping[str, Any], place: int | None, whole: bool) -> ToolCall | None:
        """Return what the piece adds; None where it tells a whole call once more."""
        given = (piece.get("function"), piece.get("custom"))
        function = next((member for member in given if isinstance(member, Mapping)), piece)
        name, call_id = _text(function.get("name")), piece.get("id")
        odd = next((member for member in given if not is_nothing(member)), None)
        if function is piece and name is None and odd is not None:
            raise UnreadableError(f"a tool call whose function is a {type(odd).__name__}")
        call_id = None if is_nothing(call_id) and call_id != 0 else _text(call_id)
        arguments = _arguments(next((function[key] for key in _ARGUMENTS if function.get(key) is not None), None))
        index = _index(piece.get("index"))
        known = self._by_id.get((index, call_id))
        if known is not None and known.is_told_again(name, arguments):
            return None
        call = self._call(index, call_id, name, place, more=bool(arguments.strip()))
        if name is not None and call.name not in (None, name):
            raise UnreadableError("a tool call with two names")
        call.name = name or call.name
        shown = call.take(arguments, whole)
        _follow(call, arguments)
        return ToolCall(call.number, call_id, name, shown)

    def _call(
        self, index: int | None, call_id: str | None, name: str | None, place: int | None, *, more: bool
    ) -> _Open:
        """Return the call that a piece belongs to; a new one where it begins one. ``more``: it has arguments."""
        if (known := self._by_id.get((index, call_id))) is not None:
            return self._begin(index, call_id) if more and name and known.ends_before(name) else known
        opened = self._open(index, place)
        if opened is None or (call_id is not None and opened.id is not None):
            return self._begin(index, call_id)
        if call_id is None and name is not None and opened.name is not None and (opened.complete or index is None):
            return self._begin(index, None)
        if call_id is not None:
            if opened.name is not None and name is not None:
                return self._begin(index, call_id)
            opened.id = call_id
            self._by_id[index, call_id] = opened
        return opened

    def _open(self, index: int | None, place: int | None) -> _Open | None:
        if index is not None:
            return self._at.get(index)
        if place is not None:
            return self._calls[place] if place < len(self._calls) else None
        return self._calls[-1] if self._calls else None

    def _begin(self, index: int | None, call_id: str | None) -> _Open:
        if len(self._calls) >= TOOL_CALL_LIMIT:
            raise UnreadableError(f"more than {TOOL_CALL_LIMIT} tool calls")
        call = _Open(len(self._calls), call_id)
        self._calls.append(call)
        if index is not None:
            self._at[index] = call
        if call_id is not None:
            self._by_id[index, call_id] = call
        return call


def _is_number(name: object) -> bool:
    return isinstance(name, str) and name.isdecimal()


def _index(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    """Return a name or an id; None where it is nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return encodable(value) if isinstance(value, str) and value else None


def _arguments(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _follow(call: _Open, arguments: str) -> None:
    """Keep account of whether the arguments are complete. Linear in their length."""
    at = 0
    for match in _TOKENS.finditer(arguments):
        token, escaped, call.escaped = match[0], call.escaped and match.start() == at, False
        at = match.end()
        if call.in_string:
            if token == '"' and not escaped:
                call.in_string = False
            call.escaped = token == "\\" and not escaped
        elif token == '"':
            call.in_string = True
        elif token in "{[":
            call.depth += 1
        elif token in "}]":
            call.depth -= 1
            call.complete = call.depth <= 0
    if at < len(arguments):
        call.escaped = False
