"""What a chat's answer says, object by object: text in every shape, tool calls in every numbering, figures, and how it closes."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http import ChatReader
from adapters.http.lines import LineTooLongError
from statemachine import ToolCall

from .readers import BOUND_BYTES, SECRET, framed, told, whole

STOP = ("end", "stop")
SERVER = "http://host:1: "
PROTOCOL = "AdapterProtocolError"
UNREADABLE = f"{SERVER}the answer has %s, which cannot be read"


def chunk(delta: object, reason: object = None, **more: Any) -> dict[str, Any]:
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        **more,
    }


def streamed(*deltas: object) -> list[tuple[str, Any]]:
    """What comes of deltas, with the closing event that a good answer has left out."""
    events = told(ChatReader, framed(*map(chunk, deltas), chunk({}, "stop")))
    assert events[-1] == STOP or events[-1][0] == PROTOCOL
    return events[:-1] if events[-1] == STOP else events


def answered(message: object, **more: Any) -> list[tuple[str, Any]]:
    """What comes of a whole answer."""
    return told(ChatReader, whole({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **more}))


# ---- text ----


@pytest.mark.parametrize(
    ("content", "events"),
    [
        ("a", [("token", "a")]),
        (" ", [("token", " ")]),
        ("null", [("token", "null")]),
        ("", []),
        (None, []),
        (False, []),
        ([], []),
        ({}, []),
        (["a", "", None, "b"], [("token", "a"), ("token", "b")]),
        ([["a"], [["b"]]], [("token", "a"), ("token", "b")]),
        ({"type": "text", "text": "a"}, [("token", "a")]),
        ({"type": "text", "text": "", "content": "a"}, [("token", "a")]),
        ({"content": "a", "text": "b"}, [("token", "b")]),
        ({"content": "a", "refusal": "b"}, [("token", "a")]),
        ({"refusal": "a", "output_text": "b"}, [("token", "a")]),
        ({"output_text": "a", "value": "b"}, [("token", "a")]),
        ({"value": "a"}, [("token", "a")]),
        ({"text": {"value": "a", "annotations": []}}, [("token", "a")]),
        ({"type": "text", "text": ""}, []),
        ({"value": None}, []),
        ({"type": "thinking", "text": "a"}, [("reasoning", "a")]),
        ({"type": "Reasoning.text", "text": "a"}, [("reasoning", "a")]),
        ({"thinking": "a", "text": "b"}, [("reasoning", "a")]),
        ({"thinking": "", "reasoning": "a"}, [("reasoning", "a")]),
        ({"reasoning": "a", "reasoning_content": "b"}, [("reasoning", "a")]),
        ({"reasoning_content": "a", "summary": "b"}, [("reasoning", "a")]),
        ({"summary": [{"text": "a"}, {"text": "b"}]}, [("reasoning", "a"), ("reasoning", "b")]),
        ({"type": "redacted_thinking", "data": "x"}, []),
        ({"type": "reasoning.encrypted", "data": "x"}, []),
        ({"type": "citation", "url": "x"}, []),
        ({"type": "reference", "reference_ids": [1]}, []),
        ({"type": "Signature", "signature": "x"}, []),
        ({"text": {"text": {"text": "a"}}}, [("token", "a")]),
    ],
)
def test_text_has_many_shapes(content: object, events: list[tuple[str, str]]) -> None:
    assert streamed({"content": content}) == events
    assert answered({"content": content or "x"})[:-1] == (events if content else [("token", "x")])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (7, "text that is a int"),
        (0, "text that is a int"),
        (True, "text that is a bool"),
        (1.5, "text that is a float"),
        (["a", 7], "text that is a int"),
        ({"text": 7}, "text that is a int"),
        ([[[[["a"]]]]], "text that is a list"),
        ({"text": {"text": {"text": {"text": {"text": "a"}}}}}, "text that is a dict"),
        ({"thinking": {"thinking": {"thinking": {"thinking": {"thinking": "a"}}}}}, "text that is a dict"),
        ({"type": "image", "image_url": "x"}, "a part of an answer without text"),
        ({"type": None}, "a part of an answer without text"),
        ({"type": "cite"}, "a part of an answer without text"),
    ],
)
def test_an_answer_with_text_that_cannot_be_read_does_not_end_well(content: object, what: str) -> None:
    *_, last = streamed({"content": "before"}, {"content": content}, {"content": "after"})
    assert last == (PROTOCOL, UNREADABLE % what)
    assert answered({"content": content})[-1] == last


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking", "reasoning_details"])
def test_reasoning_has_several_names(name: str) -> None:
    assert streamed({name: "a", "content": "b"}) == [("reasoning", "a"), ("token", "b")]
    assert answered({"content": "b", name: [{"type": "x", "text": "a"}]})[:-1] == [("reasoning", "a"), ("token", "b")]


def test_reasoning_that_is_given_twice_is_told_once() -> None:
    given = {"reasoning_content": "a", "reasoning": "a", "thinking": "b", "reasoning_details": [{"text": "c"}]}
    assert streamed(given) == [("reasoning", "a")]
    assert streamed({**given, "reasoning_content": ""}) == [("reasoning", "a")]
    assert streamed({**given, "reasoning_content": None, "reasoning": None}) == [("reasoning", "b")]


def test_a_refusal_is_text() -> None:
    assert streamed({"content": "a", "refusal": "b"}) == [("token", "a"), ("token", "b")]


@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        (["\ud83d", "\ude00!"], ["\U0001f600!"]),
        (["a\ud83d", "\ude00"], ["a", "\U0001f600"]),
        (["\ud83d", "x"], ["\ufffdx"]),
        (["\ud83d", "\ud83d", "\ude00"], ["\ufffd", "\U0001f600"]),
        (["\ude00"], ["\ufffd"]),
        (["a\ud83d"], ["a", "\ufffd"]),
        (["\udbff", "\udfff"], ["\U0010ffff"]),
        (["\ud800", "\udc00"], ["\U00010000"]),
        (["\u00e9", "\ud7ff", "\ue000"], ["\u00e9", "\ud7ff", "\ue000"]),
    ],
)
def test_halves_of_characters_are_joined_or_told_at_the_end(pieces: list[str], texts: list[str]) -> None:
    assert streamed(*({"content": piece} for piece in pieces)) == [("token", text) for text in texts]
    assert streamed(*({"reasoning": piece} for piece in pieces)) == [("reasoning", text) for text in texts]


def test_halves_of_reasoning_and_of_text_are_not_mixed() -> None:
    events = streamed({"reasoning": "\ud83d"}, {"content": "\ude00"}, {"content": "\ud83d"}, {"reasoning": "\ude00"})
    assert events == [("token", "\ufffd"), ("reasoning", "\U0001f600"), ("token", "\ufffd")]


# ---- choices ----


@pytest.mark.parametrize(
    ("choices", "texts"),
    [
        ([{"delta": {"content": "a"}}, {"delta": {"content": "b"}}], ["a"]),
        ([{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}], ["a"]),
        ([{"index": "1", "delta": {"content": "b"}}, {"index": "0", "delta": {"content": "a"}}], ["a"]),
        ([{"index": None, "delta": {"content": "a"}}, {"index": True, "delta": {"content": "b"}}], ["a"]),
        ([{"index": 0, "delta": {"content": "a"}}, {"index": 0, "delta": {"content": "b"}}], ["a", "b"]),
        ([{"index": "x", "delta": {"content": "a"}}], ["a"]),
        ([{"index": 2, "delta": {"content": "b"}}], []),
        ({"delta": {"content": "a"}}, ["a"]),
        ([{"delta": "a"}], ["a"]),
        ([{"delta": ["a", "b"]}], ["a", "b"]),
        ([{"delta": {"content": "a"}, "message": {"content": "aa"}}], ["a"]),
        ([{"delta": {}, "text": "a"}], ["a"]),
        ([{"message": {"content": "a"}}], ["a"]),
        ([{"message": {}, "text": "a"}], ["a"]),
        ([{"text": "a"}], ["a"]),
        ([{"text": 7}], []),
        ([None, False], []),
        ([], []),
        ({}, []),
        (None, []),
        ("", []),
    ],
)
def test_the_first_choice_is_read(choices: object, texts: list[str]) -> None:
    events = told(ChatReader, framed({"choices": choices}, chunk({}, "stop")))
    assert events == [*(("token", text) for text in texts), STOP]


@pytest.mark.parametrize(
    ("choices", "what"),
    [
        ("x", "a str"),
        (7, "a int"),
        (0, "a int"),
        (True, "a bool"),
        ([{"delta": {"content": "a"}}, "x"], "a str"),
        ([1.5], "a float"),
    ],
)
def test_choices_that_are_none(choices: object, what: str) -> None:
    events = told(ChatReader, framed({"choices": choices}, chunk({}, "stop")))
    assert events[-1] == (PROTOCOL, UNREADABLE % f"a choice that is {what}")


def test_a_message_beside_an_empty_delta_is_not_read() -> None:
    events = told(ChatReader, framed({"choices": [{"delta": {}, "message": {"content": "a"}}]}, chunk({}, "stop")))
    assert events == [(PROTOCOL, f"{SERVER}the answer has nothing but message, which cannot be read")]


def test_a_whole_answer_may_have_its_message_in_several_places() -> None:
    end = [("token", "a"), STOP]
    for choice in (
        {"message": {"content": "a"}},
        {"delta": {"content": "a"}},
        {"text": "a"},
        {"message": None, "delta": "a"},
    ):
        assert told(ChatReader, whole({"choices": [{**choice, "finish_reason": "stop"}]})) == end


# ---- figures ----


def test_figures_beside_and_inside_of_the_choices() -> None:
    timings, usage, stats = {"predicted_n": 3}, {"total_tokens": 1}, {"tokens_per_second": 2.5}
    first = {"choices": [{"delta": {"content": "a"}, "usage": usage}], "timings": timings, "other": {"a": 1}}
    second = {"choices": [], "usage": usage, "x_groq": {"usage": {"total_tokens": 2}}}
    third = {"choices": [], "x_groq": {"usage": {"total_tokens": 2}, "error": None}, "stats": stats}
    empty: dict[str, Any] = {"choices": [], "usage": {}, "stats": None, "timings": [1]}
    assert told(ChatReader, framed(first, second, third, empty, chunk({}, "stop"))) == [
        ("token", "a"),
        ("metadata", {"usage": usage, "timings": timings}),
        ("metadata", {"usage": usage}),
        ("metadata", {"usage": {"total_tokens": 2}, "stats": stats}),
        STOP,
    ]


def test_figures_can_be_encoded() -> None:
    usage = {"a\ud800": ["\ud800", {"b": "\udfff", "c": 1}], "d": None}
    events = told(ChatReader, framed(chunk({"content": "x"}, "stop", usage=usage)))
    assert events[1] == ("metadata", {"usage": {"a\ufffd": ["\ufffd", {"b": "\ufffd", "c": 1}], "d": None}})


# ---- tool calls ----


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
    both = {"function_call": {"name": "f"}, "tool_calls": [of("g", "[1]")]}
    assert streamed(both) == [("tool_call", ToolCall(0, None, "g", "[1]"))]


# ---- how it closes ----


@pytest.mark.parametrize(
    ("reason", "closing"),
    [
        ("stop", STOP),
        ("length", ("end", "length")),
        (" tool_calls ", ("end", "tool_calls")),
        ({"type": "stop", "matched": 1}, STOP),
        ("x" * 101, ("end", "x" * 100)),
        ("null".rjust(65), ("end", "null")),
        ("a\ud800", ("end", "a\ufffd")),
        ("model_unloaded", "ModelEvictedError"),
        ("ModelUnloaded", "ModelEvictedError"),
        ("insufficient_system_resource", "AdapterBusyError"),
        ("overloaded", "AdapterBusyError"),
        ("timeout", "AdapterTimeoutError"),
        ("time_out", "AdapterTimeoutError"),
        ("Timed_out", "AdapterTimeoutError"),
        ("timedout", "AdapterTimeoutError"),
        ("abort", "TruncatedStreamError"),
        ("cancelled", "TruncatedStreamError"),
        ("canceled", "TruncatedStreamError"),
        ("interrupted", "TruncatedStreamError"),
        ("preempted", "TruncatedStreamError"),
        ("error", "AdapterError"),
        ("network_failure", "AdapterError"),
        ("exception", "AdapterError"),
        ("MALFORMED_FUNCTION_CALL", "AdapterError"),
        ("crashed", "AdapterError"),
    ],
)  # fmt: skip
def test_finish_reasons(reason: object, closing: str | tuple[str, str]) -> None:
    if isinstance(closing, str):
        closing = closing, f"{SERVER}the server says that the answer ended in {reason}"
    assert told(ChatReader, framed(chunk({"content": "a"}), chunk({}, reason), "[DONE]")) == [("token", "a"), closing]
    given = {"choices": [{"message": {"content": "a"}, "finish_reason": reason}]}
    assert told(ChatReader, whole(given)) == [("token", "a"), closing]


def test_a_long_finish_reason_is_cut() -> None:
    _, shown = told(ChatReader, framed(chunk({}, "error" + "x" * 200)))[-1]
    assert shown == f"{SERVER}the server says that the answer ended in error{'x' * 94}\u2026"


@pytest.mark.parametrize(
    "reason",
    [None, "", "null", " None ", "NIL", "undefined", "null".rjust(64), False, 0, 7, [], ["stop"], {}, {"type": None}],
)
def test_finish_reasons_that_are_none(reason: object) -> None:
    cut = ("TruncatedStreamError", f"{SERVER}the stream stopped without its end")
    assert told(ChatReader, framed(chunk({"content": "a"}, reason))) == [("token", "a"), cut]
    assert told(ChatReader, framed(chunk({"content": "a"}, reason), "[DONE]")) == [("token", "a"), ("end", None)]


def test_the_first_finish_reason_stands_and_groq_has_it_elsewhere() -> None:
    assert told(ChatReader, framed(chunk({"content": "a"}, "tool_calls"), chunk({}, "stop")))[-1] == (
        "end",
        "tool_calls",
    )
    groq = {"choices": [], "x_groq": {"finish_reason": "length"}}
    assert told(ChatReader, framed(chunk({"content": "a"}), groq))[-1] == ("end", "length")
    reported = {"choices": [], "x_groq": {"error": "it broke"}}
    assert told(ChatReader, framed(chunk({"content": "a"}), reported))[-1] == ("AdapterError", f"{SERVER}it broke")
    assert told(ChatReader, framed({"choices": [], "x_groq": "x"}, chunk({"content": "a"}, "stop"))) == [
        ("token", "a"),
        STOP,
    ]


def test_an_error_beside_a_finish_reason_says_more() -> None:
    choice = {"delta": {}, "finish_reason": "error", "error": {"message": "it broke", "code": 502}}
    assert told(ChatReader, framed(chunk({"content": "a"}), {"choices": [choice]})) == [
        ("token", "a"),
        ("AdapterError", f"{SERVER}it broke"),
    ]
    choice["finish_reason"] = "stop"
    assert told(ChatReader, framed({"choices": [choice]})) == [("AdapterError", f"{SERVER}it broke")]


@pytest.mark.parametrize(
    "done", ["[DONE]", "[done]", "DONE", '"[DONE]"', " [DONE] ", "data: [DONE]", "data:data: [DONE]"]
)
def test_done_in_every_spelling(done: str) -> None:
    assert told(ChatReader, framed(chunk({"content": "a"}), done, chunk({"content": "b"}))) == [
        ("token", "a"),
        ("end", None),
    ]
    empty = [(PROTOCOL, f"{SERVER}the answer ended before it began")]
    assert told(ChatReader, framed(done)) == empty
    assert told(ChatReader, framed(chunk({"role": "assistant", "content": ""}), done)) == empty


def test_an_event_named_done_ends_the_answer() -> None:
    assert told(ChatReader, framed(chunk({"content": "a"})) + b"event: done\n\n") == [("token", "a"), ("end", None)]
    assert (
        told(ChatReader, framed(chunk({"content": "a"})) + b"event: done\ndata: {}\n\n")[-1][0]
        == "TruncatedStreamError"
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"data: null\n\n", b"data: {}\n\n", b"data:\n\n", b"data: true\n\n", b"data: false\n\n", b"data: []\n\n", b"data: 0\n\n",
        b"data: ping\n\n", b"data: PONG\n\n", b"data: heartbeat\n\n", b"data: heart-beat\n\n", b"data: keepalive\n\n",
        b"data: keep-alive\n\n", b"data: keep_alive\n\n", b"data: : x\n\n", b"event: ping\ndata: x\n\n", b"event: Keep-Alive\n\n",
        b"event: heart_beat\ndata: 7\n\n", b': ping\n\n', b'data: "none"\n\n',
    ],
)  # fmt: skip
def test_signs_of_life_are_passed_over(frame: bytes) -> None:
    assert told(ChatReader, frame + framed(chunk({"content": "a"})) + frame + framed(chunk({}, "stop")) + frame) == [
        ("token", "a"),
        STOP,
    ]


@pytest.mark.parametrize("frame", ["x", "7", '"x"', "[1]", "{", "pingx", "xping", "1.5", "DONE?"])
def test_a_frame_that_makes_no_sense(frame: str) -> None:
    nonsense = (PROTOCOL, f"{SERVER}a frame of the stream is not a JSON object")
    assert told(ChatReader, framed(chunk({"content": "a"}), frame, chunk({}, "stop"))) == [("token", "a"), nonsense]
    assert told(ChatReader, framed(chunk({"content": "a"}, "stop"), frame)) == [("token", "a"), STOP]


def test_frames_without_a_blank_line_between_them() -> None:
    lines = framed(chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, "stop"), "[DONE]").replace(
        b"\n\n", b"\n"
    )
    assert told(ChatReader, lines + b"\n") == [("token", "a"), ("token", "b"), STOP]
    assert told(ChatReader, b"event: error\ndata: two\ndata: lines\n\n") == [("AdapterError", f"{SERVER}two lines")]


def test_an_error_in_the_stream_shows_no_secret() -> None:
    for frame in (
        framed({"error": {"message": f"bad {SECRET}", "type": "x"}}),
        b"event: error\n" + framed({"message": f"bad {SECRET}", "type": "x"}),
        b"event: ERROR\n" + framed({"message": f"bad {SECRET}", "type": "x"}),
        whole({"error": {"message": f"bad {SECRET}", "type": "x"}}),
    ):
        assert told(ChatReader, frame) == [("AdapterError", f"{SERVER}bad *** (x)")]


def test_an_error_after_the_finish_reason_is_one_and_a_cut_is_none() -> None:
    good = framed(chunk({"content": "a"}, "stop"))
    assert told(ChatReader, good) == [("token", "a"), STOP]
    assert told(ChatReader, good + b"data: {") == [("token", "a"), STOP]
    assert told(ChatReader, good + framed({"error": "x"})) == [("token", "a"), ("AdapterError", f"{SERVER}x")]
    assert told(ChatReader, good + framed({"error": "x"}, {"error": "y"}))[-1] == ("AdapterError", f"{SERVER}x")


# ---- bodies without frames ----


def test_lines_without_frames_are_chunks() -> None:
    chunks = [chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, "stop")]
    body = b"".join(whole(item) + b"\n" for item in chunks)
    expected = [("token", "a"), ("token", "b"), STOP]
    assert told(ChatReader, body) == expected
    assert told(ChatReader, body.rstrip()) == expected
    assert told(ChatReader, *(bytes([byte]) for byte in body)) == expected
    assert told(ChatReader, body + b"[DONE]\nrest") == expected
    assert told(ChatReader, body[: len(whole(chunks[0])) + 1] + b"[DONE]\n") == [("token", "a"), ("end", None)]
    assert told(ChatReader, whole(chunks[0]) + b"\nx\n") == [
        ("token", "a"),
        (PROTOCOL, f"{SERVER}a frame of the stream is not a JSON object"),
    ]
    assert told(ChatReader, whole(chunks[0])) == [
        ("token", "a"),
        ("TruncatedStreamError", f"{SERVER}the stream stopped without its end"),
    ]


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (b"[1]", (PROTOCOL, f"{SERVER}the answer is not a JSON object")),
        (b"7", (PROTOCOL, f"{SERVER}the answer is not a JSON object")),
        (b"{}", (PROTOCOL, f"{SERVER}the answer ended before it began")),
        (b"{}\n{}", (PROTOCOL, f"{SERVER}the answer is no JSON object that can be read: not JSON")),
        (b"<html>\n</html>", (PROTOCOL, f"{SERVER}the answer is no JSON object that can be read: not JSON")),
        (b'{"detail": "Not Found"}', ("AdapterError", f"{SERVER}Not Found")),
        (b'[{"error": {"message": "m", "status": "UNAVAILABLE"}}]', ("AdapterBusyError", f"{SERVER}m")),
    ],
)
def test_whole_bodies_that_are_no_answer(body: bytes, event: tuple[str, str]) -> None:
    assert told(ChatReader, body) == [event]
    assert told(ChatReader, *(bytes([byte]) for byte in body)) == [event]


def test_a_whole_answer_may_be_written_over_several_lines() -> None:
    body = b'{\n "choices": [\n  {"message": {"content": "a"}, "finish_reason": "stop"}\n ]\n}\n'
    assert told(ChatReader, body) == [("token", "a"), STOP]
    assert told(ChatReader, *(bytes([byte]) for byte in body)) == [("token", "a"), STOP]


def test_a_whole_answer_may_be_as_long_as_its_bound() -> None:
    body = whole({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]})
    assert told(ChatReader, body.ljust(BOUND_BYTES)) == [("token", "a"), STOP]
    assert told(ChatReader, *[body.ljust(BOUND_BYTES - 10), b" " * 10]) == [("token", "a"), STOP]
    for pieces in ([body.ljust(BOUND_BYTES + 1)], [body.ljust(BOUND_BYTES), b" "]):
        with pytest.raises(LineTooLongError, match=f"^an answer of more than {BOUND_BYTES} bytes$"):
            told(ChatReader, *pieces)


def test_an_empty_body_and_one_that_is_cut_before_its_form_is_known() -> None:
    cut = [("TruncatedStreamError", f"{SERVER}the stream stopped without its end")]
    for body in (b"", b" ", b"dat", b"data", b": ping\n\n", b"data: {"):
        assert told(ChatReader, body) == cut
    assert told(ChatReader, b"database") == [
        (PROTOCOL, f"{SERVER}the answer is no JSON object that can be read: not JSON")
    ]
