"""Tool calls in a chat's answer, in every numbering: which call a piece belongs to, and when its arguments are complete."""

from __future__ import annotations

from typing import Any

import pytest

from statemachine import ToolCall

from .readers import (
    PROTOCOL,
    STOP,
    UNREADABLE,
    answered,
    streamed,
)


def calls(*pieces: object) -> list[Any]:
    """The tool calls that come of such pieces, a chunk each."""
    return [
        data for kind, data in streamed(*({"tool_calls": piece} for piece in pieces)) if kind in ("tool_call", PROTOCOL)
    ]


def of(name: str | None = None, arguments: object = None, **more: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "type": "function", "function": function}


@pytest.mark.parametrize(
    ("piece", "call"),
    [
        (of("f", "{}", id="a", index=0), ToolCall(0, "a", "f", "")),
        ({"id": 7, "function": {"name": "f", "arguments": "[1]"}}, ToolCall(0, "7", "f", "[1]")),
        ({"id": 0, "function": {"name": "f", "arguments": "[1]"}}, ToolCall(0, "0", "f", "[1]")),
        ({"id": "", "function": {"name": "f", "arguments": "[1]"}}, ToolCall(0, None, "f", "[1]")),
        ({"id": "null", "function": {"name": "f", "arguments": "[1]"}}, ToolCall(0, None, "f", "[1]")),
        ({"id": True, "function": {"name": 7, "arguments": "[1]"}}, ToolCall(0, None, "7", "[1]")),
        (
            {"id": "a\ud800", "function": {"name": "f\ud800", "arguments": "\ud800 "}},
            ToolCall(0, "a\ufffd", "f\ufffd", "\ufffd "),
        ),
        ({"custom": {"name": "f", "input": "text"}}, ToolCall(0, None, "f", "text")),
        ({"function": None, "custom": {"name": "f", "args": {"a": 1}}}, ToolCall(0, None, "f", '{"a": 1}')),
        ({"name": "f", "parameters": {"\u00e9": [1]}}, ToolCall(0, None, "f", '{"\u00e9": [1]}')),
        ({"name": "f", "arguments": None, "input": {"a": 1}}, ToolCall(0, None, "f", '{"a": 1}')),
        ({"function": {"name": "f", "arguments": 7}}, ToolCall(0, None, "f", "7")),
        ({"function": {"name": "f", "arguments": "x", "parameters": "y"}}, ToolCall(0, None, "f", "x")),
        ({"function": {"name": "f", "parameters": "x", "args": "y"}}, ToolCall(0, None, "f", "x")),
        ({"function": {"name": "f", "args": "x", "input": "y"}}, ToolCall(0, None, "f", "x")),
        ({"function": {"name": "f"}}, ToolCall(0, None, "f", "")),
        ({"function": {"name": ""}}, ToolCall(0, None, None, "")),
        ({"index": 3, "function": {"name": "f"}}, ToolCall(0, None, "f", "")),
    ],
)
def test_a_piece_of_a_tool_call(piece: dict[str, Any], call: ToolCall) -> None:
    assert calls([piece])[0] == call
    assert calls(piece)[0] == call
    assert calls([None, {}, piece])[0] == call


@pytest.mark.parametrize("nothing", [None, "", [], {}, False, 0, "null", [None], [{}]])
def test_tool_calls_that_are_none(nothing: object) -> None:
    assert calls(nothing) == []
    assert answered({"content": "x", "tool_calls": nothing}) == [("token", "x"), STOP]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("x", "tool calls that are a str"),
        (7, "tool calls that are a int"),
        ([7], "a tool call that is a int"),
        ([of("f", "{}"), "x"], "a tool call that is a str"),
        ([[]], "a tool call that is a list"),
        ([{"function": "x"}], "a tool call whose function is a str"),
        ([{"function": 7}], "a tool call whose function is a int"),
        ([{"custom": ["x"]}], "a tool call whose function is a list"),
    ],
)
def test_tool_calls_that_cannot_be_read(given: object, what: str) -> None:
    assert calls(given)[-1] == UNREADABLE % what
    assert answered({"tool_calls": given})[-1] == (PROTOCOL, UNREADABLE % what)


def test_the_number_of_tool_calls_is_bounded() -> None:
    fine = [of("f", "[1]", index=index) for index in range(1024)]
    assert len(calls(fine)) == 1024
    *read, last = calls([*fine, of("f", "[1]", index=1024)])
    assert len(read) == 1024
    assert last == UNREADABLE % "more than 1024 tool calls"


def put_together(*chunks: list[dict[str, Any]]) -> list[tuple[str | None, str | None, str]]:
    """Ids, names and arguments of the calls, in their order, put together by their numbers."""
    found: dict[int, tuple[str | None, str | None, str]] = {}
    for call in (call for call in calls(*chunks) if isinstance(call, ToolCall)):
        call_id, name, arguments = found.get(call.index, (None, None, ""))
        found[call.index] = (call_id or call.id, name or call.name, arguments + call.arguments)
    assert [*found] == [*range(len(found))]
    return [*found.values()]


A, B = '{"a": "}"}', '{"b": "\\"]"}'


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        # numbered by the server
        ([[of("f", '{"a"', index=0, id="a")], [of(None, ": 1}", index=0)]], [("a", "f", '{"a": 1}')]),
        ([[of("f", A, index=0, id="a"), of("g", B, index=1, id="b")]], [("a", "f", A), ("b", "g", B)]),
        ([[of("f", "[", index="0")], [of("g", "[", index=1.0)], [of(None, "1]", index=0)], [of(None, "2]", index="1")]],
         [(None, "f", "[1]"), (None, "g", "[2]")]),
        ([[of("f", "[1", index=1)], [of("g", "[2", index=0)], [of(None, "]", index=1)], [of(None, ", 3]", index=0)]],
         [(None, "f", "[1]"), (None, "g", "[2, 3]")]),
        # an index that is none
        ([[of("f", "[1", index="x")], [of(None, "]", index=True)], [of(None, " ", index=None)], [of(None, " ", index=1.5)]],
         [(None, "f", "[1]  ")]),
        # another id at the same index begins a call, the same one goes on
        ([[of("f", A, index=0, id="a")], [of("f", B, index=0, id="b")]], [("a", "f", A), ("b", "f", B)]),
        ([[of("f", "[1", index=0, id="a")], [of("f", "]", index=0, id="a")]], [("a", "f", "[1]")]),
        ([[of("f", "[1", id="a")], [of("g", "[2", id="b")], [of(None, "]", id="a")], [of(None, "]", id="b")]],
         [("a", "f", "[1]"), ("b", "g", "[2]")]),
        ([[of("f", "[1", index=0, id="a")], [of(None, "[2]", index=0, id="b")]], [("a", "f", "[1"), ("b", None, "[2]")]),
        # one id for all: a name and more arguments where those before are complete
        ([[of("f", "[1]", index=0, id="a")], [of("f", "[2]", index=0, id="a")]], [("a", "f", "[1]"), ("a", "f", "[2]")]),
        ([[of("f", "[1]", index=0, id="a")], [of("f", "[2]", index=0, id="a")], [of(None, " ", index=0, id="a")]],
         [("a", "f", "[1]"), ("a", "f", "[2] ")]),
        ([[of("f", index=0, id="a")], [of("f", "[1]", index=0, id="a")]], [("a", "f", "[1]")]),
        ([[of("f", index=0)], [of("f", "[1]", index=0)]], [(None, "f", "[1]")]),
        ([[of("f", "[1]", index=0)], [of("g", "[2", index=0, id="a")], [of(None, "]", index=0, id="b")]],
         [(None, "f", "[1]"), ("a", "g", "[2"), ("b", None, "]")]),
        # pieces that are alike are two, as long as the first is not the whole call
        ([[of("f", "[1", index=0, id="a")], [of("f", "[1", index=0, id="a")]], [("a", "f", "[1[1")]),
        ([[of("f", "[1]", index=0, id="a")], [of(None, "[1]", index=0, id="a")]], [("a", "f", "[1][1]")]),
        ([[of("f", "[1]", index=0, id="a")], [of("f", " ", index=0, id="a")]], [("a", "f", "[1] ")]),
        ([[of("f", "[1]", index=0, id="a")], [of(None, " ", index=0, id="a")]], [("a", "f", "[1] ")]),
        ([[of("f", "[1]", index=0, id="a")], [of("f", "[2", index=0, id="a")], [of(None, "]", index=0)], [of(None, " ", index=0, id="a")]],
         [("a", "f", "[1]"), ("a", "f", "[2] ")]),
        # an id that comes late
        ([[of("f", "[1", index=0)], [of(None, ",", index=0, id="a")], [of(None, "2]", index=0, id="a")]], [("a", "f", "[1,2]")]),
        ([[of("f", "[1", index=0)], [of(None, "]", index=0, id="a")], [of(None, "[2]", index=0, id="b")]],
         [("a", "f", "[1]"), ("b", None, "[2]")]),
        ([[of("f", "[1]", index=0)], [of("g", "[2", index=0, id="a")], [of(None, "]", index=0)], [of(None, " ", index=0, id="a")]],
         [(None, "f", "[1]"), ("a", "g", "[2] ")]),
        ([[of("f", "[1", index=0)], [of(None, "]", index=0, id="a")]], [("a", "f", "[1]")]),
        ([[of("f", "[1]", index=0)], [of("g", "[2]", index=0, id="a")]], [(None, "f", "[1]"), ("a", "g", "[2]")]),
        ([[{"index": 0, "id": "a"}], [of("f", "[1]", index=0)], [of(None, " ", index=0, id="a")]], [("a", "f", "[1] ")]),
        # without id and index: a name begins a call
        ([[of("f", "[1")], [of(None, "]")], [of("g", "[2]")]], [(None, "f", "[1]"), (None, "g", "[2]")]),
        ([[of("f", "[1]")], [of("f", "[2]")]], [(None, "f", "[1]"), (None, "f", "[2]")]),
        ([[{"function": {"arguments": "[1"}}], [of("f", "]")]], [(None, "f", "[1]")]),
        ([[of("f", "[1]")], [of("g", "[2")], [of(None, "]")]], [(None, "f", "[1]"), (None, "g", "[2]")]),
        # with an index but no id: a name begins a call where the arguments are complete
        ([[of("f", "[1]", index=0)], [of("f", "[2]", index=0)]], [(None, "f", "[1]"), (None, "f", "[2]")]),
        ([[of("f", "[1", index=0)], [of("f", "]", index=0)]], [(None, "f", "[1]")]),
        ([[of("f", "[1]", index=0)], [of("f", "[2", index=0)], [of(None, "]", index=0)]], [(None, "f", "[1]"), (None, "f", "[2]")]),
        # several in a chunk, without index: by their places
        ([[of("f", "[1"), of("g", "[2")], [of(None, "]"), of(None, ", 3]")]], [(None, "f", "[1]"), (None, "g", "[2, 3]")]),
        ([[of("f", "[1")], [of(None, "]"), of("g", "[2]")]], [(None, "f", "[1]"), (None, "g", "[2]")]),
        ([[of("f", "[1"), of(None, "]")]], [(None, "f", "[1]")]),
        # what is in a text is no end
        ([[of("f", A, index=0)], [of("g", B, index=0)], [of("h", "[1]", index=0)]], [(None, "f", A), (None, "g", B), (None, "h", "[1]")]),
        ([[of("f", '{"a": ""}', index=0)], [of("g", "[1]", index=0)]], [(None, "f", '{"a": ""}'), (None, "g", "[1]")]),
        ([[of("f", '{"a": "\\n', index=0)], [of("f", '"}', index=0)], [of("g", "[1]", index=0)]],
         [(None, "f", '{"a": "\\n"}'), (None, "g", "[1]")]),
        # what is in a text is no end of the arguments
        ([[of("f", '{"a": "}', index=0)], [of("f", '", "b": 1}', index=0)]], [(None, "f", '{"a": "}", "b": 1}')]),
        ([[of("f", '{"a": "\\', index=0)], [of("f", '"}', index=0)], [of("f", '"}', index=0)]],
         [(None, "f", '{"a": "\\"}"}')]),
        ([[of("f", '{"a": "\\\\', index=0)], [of("f", '"}', index=0)], [of("f", "{}", index=0, id="x")]],
         [(None, "f", '{"a": "\\\\"}'), ("x", "f", "{}")]),
        ([[of("f", '{"a": "\\n"}', index=0)], [of("g", "[1]", index=0)]], [(None, "f", '{"a": "\\n"}'), (None, "g", "[1]")]),
        ([[of("f", '{"a": "\\', index=0)], [of("f", 'n"}', index=0)], [of("g", "[1]", index=0)]],
         [(None, "f", '{"a": "\\n"}'), (None, "g", "[1]")]),
        ([[of("f", '{"a": [{}]', index=0)], [of("f", "}", index=0)]], [(None, "f", '{"a": [{}]}')]),
        # the empty object at the beginning stands for arguments that follow, or for itself
        ([[of("f", "{}", index=0, id="a")]], [("a", "f", "{}")]),
        ([[of("f", " { } ", index=0, id="a")]], [("a", "f", " { } ")]),
        ([[of("f", "{}", index=0, id="a")], [of(None, "[1]", index=0)]], [("a", "f", "[1]")]),
        ([[of("f", {}, index=0, id="a")], [of("f", "[1]", index=0, id="a")]], [("a", "f", "[1]")]),
        ([[of("f", "{}", index=0, id="a")], [of("g", "[1]", index=0, id="a")]], [("a", "f", "{}"), ("a", "g", "[1]")]),
        ([[of("f", "{", index=0)], [of(None, "}", index=0)]], [(None, "f", "{}")]),
        ([[of("f", "[1]", index=0)], [of(None, "{}", index=0)]], [(None, "f", "[1]{}")]),
        ([[of("f", "[1]", index=0)], [of(None, "{}", index=0)], [of(None, "x", index=0)]], [(None, "f", "[1]{}x")]),
        ([[of("f", "{}", index=0)], [of(None, " ", index=0)]], [(None, "f", "{} ")]),
    ],
)  # fmt: skip
def test_which_call_a_piece_belongs_to(
    chunks: list[list[dict[str, Any]]], expected: list[tuple[str | None, str | None, str]]
) -> None:
    assert put_together(*chunks) == expected


def test_a_call_has_one_name() -> None:
    two = calls([of("f", "[1", index=0, id="a")], [of("g", "]", index=0, id="a")])
    assert two == [ToolCall(0, "a", "f", "[1"), UNREADABLE % "a tool call with two names"]


@pytest.mark.parametrize(
    ("whole", "pieces", "expected"),
    [
        ("[1]", [], "[1]"),
        ('["\ud83d\ude00"]', [], '["\U0001f600"]'),
        ('["\ud83d"]', [], '["\ufffd"]'),
        ('["\U0001f600"]', ['["\ud83d', '\ude00"]'], '["\U0001f600"]'),
        ("[1]", ["{}", "[1]"], "[1]"),
    ],
    ids=["told twice", "with a character in halves", "with half a character", "first in halves", "first empty"],
)
def test_a_whole_call_is_told_once(whole: str, pieces: list[str], expected: str) -> None:
    first, *following = pieces or [whole]
    chunks = [[of("f", first, index=0, id="a")], *([of(None, piece, index=0)] for piece in following)]
    assert put_together(*chunks, [of("f", whole, index=0, id="a")]) == [("a", "f", expected)]


def test_calls_in_an_object_are_told_by_their_numbers() -> None:
    both = {"0": of("f", "[1]", id="a"), "1": of("g", "[2]", id="b")}
    assert calls(both) == [ToolCall(0, "a", "f", "[1]"), ToolCall(1, "b", "g", "[2]")]
    assert calls(of("f", "[1]", id="a")) == [ToolCall(0, "a", "f", "[1]")]
    for nameless in ({**both, "x": 1}, of(None, "[1]", id="a")):
        assert calls(nameless)[-1] == UNREADABLE % "a tool call without a name"


def test_a_whole_answer_has_whole_calls() -> None:
    message = {"tool_calls": [of("f", "{}", id="a"), of("f", "{}", id="b"), of("g", "[1]")]}
    assert [data for kind, data in answered(message) if kind == "tool_call"] == [
        ToolCall(0, "a", "f", "{}"),
        ToolCall(1, "b", "f", "{}"),
        ToolCall(2, None, "g", "[1]"),
    ]


def test_a_function_call_of_old() -> None:
    old = [
        {"function_call": {"name": "f", "arguments": "[1"}},
        {"function_call": {"arguments": "]"}},
        {"function_call": {}},
    ]
    assert streamed(*old) == [("tool_call", ToolCall(0, None, "f", "[1")), ("tool_call", ToolCall(0, None, None, "]"))]
    blank, named = {"function_call": {"arguments": " "}}, {"function_call": {"name": "f", "arguments": "]"}}
    assert streamed(old[0], blank)[-1] == ("tool_call", ToolCall(0, None, None, " "))
    assert streamed(old[0], named)[-1] == ("tool_call", ToolCall(0, None, "f", "]"))
    lost = {"function_call": {"name": "f"}, "tool_calls": [None]}
    assert streamed(lost) == [(PROTOCOL, UNREADABLE % "nothing but function_call")]
    both = {"function_call": {"name": "f"}, "tool_calls": [of("g", "[1]")]}
    assert streamed(both) == [("tool_call", ToolCall(0, None, "g", "[1]"))]
