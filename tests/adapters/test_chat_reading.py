"""What a chat's answer says, object by object: text in every shape, tool calls in every numbering, figures, and how it closes."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.http import ChatReader

from .readers import (
    PROTOCOL,
    SERVER,
    STOP,
    UNREADABLE,
    answered,
    chunk,
    framed,
    streamed,
    told,
    whole,
)

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
        ({"text": {"text": {"text": {"text": "a"}}}}, [("token", "a")]),
        ([[[["a"]]]], [("token", "a")]),
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


def test_text_may_have_another_name() -> None:
    for content in ({}, {"content": None}, {"content": ""}):
        assert streamed({**content, "text": "a"}) == [("token", "a")]
    assert streamed({"content": "a", "text": "b"}) == [("token", "a")]


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
        ([{"index": "9" * 5000, "delta": {"content": "b"}}, {"index": "0" * 5000, "delta": {"content": "a"}}], ["a"]),
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


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("x", "role name id type object index annotations citations logprobs token_ids provider_specific_fields"),
        ("x", "signature metadata"),
        ({"type": "reasoning.encrypted", "data": "x"}, "content text refusal reasoning_content reasoning thinking"),
        ([{"type": "reasoning.encrypted", "data": "x"}], "reasoning_details"),
        ("null", "tool_calls"),
        ({"code": "ok", "message": "success"}, "error"),
    ],
)
def test_members_that_are_no_answer(value: object, names: str) -> None:
    for name in names.split():
        assert streamed({name: value}) == []
        assert streamed({name: value, "other": "x"})[-1] == (PROTOCOL, UNREADABLE % "nothing but other")


def test_the_name_of_what_cannot_be_read_is_cut() -> None:
    nothing = f"{SERVER}the answer has nothing but {'x' * 99}\u2026, which cannot be read"
    assert streamed({"x" * 101: "a"}) == [(PROTOCOL, nothing)]


def test_a_whole_answer_may_have_its_message_in_several_places() -> None:
    end = [("token", "a"), STOP]
    for choice in (
        {"message": {"content": "a"}},
        {"delta": {"content": "a"}},
        {"text": "a"},
        {"message": None, "delta": "a"},
        {"message": {"content": "a"}, "delta": None},
        {"message": {"content": "a"}, "delta": {"content": "b"}},
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
