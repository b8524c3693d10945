"""What AnthropicAdapter sends: calls in OpenAI's shape as requests in Anthropic's."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.anthropic.request import messages_request
from statemachine import CallOptions
from statemachine.errors import ConfigurationError

USER = {"role": "user", "content": "hi"}
LOOK = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}}}


def body(*prompt: dict[str, Any], **options: Any) -> dict[str, Any]:
    return dict(messages_request("claude", prompt, CallOptions(**options)).body)


def test_a_prompt_without_anything_special() -> None:
    assert body(USER) == {"model": "claude", "max_tokens": 4096, "messages": [USER], "stream": True}


def test_the_systems_texts_stand_beside_the_messages() -> None:
    made = body(
        {"role": "system", "content": "one"}, USER, {"role": "developer", "content": [{"type": "text", "text": "two"}]}
    )
    assert (made["system"], made["messages"]) == ("one\n\ntwo", [USER])


def test_calls_of_tools_and_their_results_become_blocks() -> None:
    def call(number: int, arguments: str) -> dict[str, Any]:
        return {"id": f"t{number}", "type": "function", "function": {"name": "look", "arguments": arguments}}

    thinking = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    made = body(
        USER,
        {
            "role": "assistant",
            "content": "so",
            "thinking_blocks": [thinking],
            "tool_calls": [call(1, '{"p": "a"}'), call(2, "")],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "a wall"},
        {"role": "tool", "tool_call_id": "t2", "content": "a door"},
        {"role": "user", "content": "and?"},
        tools=[LOOK],
    )
    assert made["messages"][1]["content"] == [
        thinking,
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"p": "a"}},
        {"type": "tool_use", "id": "t2", "name": "look", "input": {}},
    ]
    assert made["messages"][2:] == [
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "a wall"},
                {"type": "tool_result", "tool_use_id": "t2", "content": "a door"},
            ],
        },
        {"role": "user", "content": "and?"},
    ]
    assert made["tools"] == [{"name": "look", "description": "Look.", "input_schema": {"type": "object"}}]


def test_an_empty_text_beside_a_call_is_left_out() -> None:
    call = {"id": "t", "function": {"name": "look", "arguments": "{}"}}
    made = body(USER, {"role": "assistant", "content": "", "tool_calls": [call]})
    assert [block["type"] for block in made["messages"][1]["content"]] == ["tool_use"]


def test_images_become_blocks() -> None:
    parts = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://host/x.png"}},
    ]
    (message,) = body({"role": "user", "content": parts})["messages"]
    assert message["content"] == [
        parts[0],
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://host/x.png"}},
    ]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "n"}}},
            {"tool_choice": {"type": "tool", "name": "n"}},
        ),
        ({"tool_choice": {"type": "auto"}}, {"tool_choice": {"type": "auto"}}),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, {"thinking": {"type": "enabled", "budget_tokens": 9}}),
    ],
)
def test_parameters(given: dict[str, Any], sent: dict[str, Any]) -> None:
    made = body(USER, parameters=given)
    assert {name: made[name] for name in sent} == sent
    assert not {"stop", "max_completion_tokens"} & made.keys()


def test_extra_headers_are_headers() -> None:
    options = CallOptions(parameters={"extra_headers": {"anthropic-beta": "a-feature"}})
    request = messages_request("claude", [USER], options)
    assert request.headers == {"anthropic-beta": "a-feature"}
    assert "extra_headers" not in request.body


@pytest.mark.parametrize(
    ("prompt", "parameters", "field"),
    [
        ([USER], {"messages": []}, "parameters.messages"),
        ([USER], {"system": "x"}, "parameters.system"),
        ([{"role": "narrator", "content": "x"}], {}, "prompt[0].role"),
        ([{"role": "system", "content": [{"type": "image"}]}], {}, "prompt[0].content"),
        ([{"role": "user", "content": [7]}], {}, "prompt[0].content[0]"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "t", "function": {"name": "n", "arguments": "[1]"}}]}],
            {},
            "prompt[0].tool_calls[0].function.arguments",
        ),
        ([{"role": "assistant", "tool_calls": 5}], {}, "prompt[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": {"id": "t"}}], {}, "prompt[0].tool_calls"),
        ([{"role": "assistant", "thinking_blocks": True}], {}, "prompt[0].thinking_blocks"),
    ],
)
def test_what_has_no_place_is_refused_by_its_path(prompt: Any, parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        body(*prompt, parameters=parameters)
    assert caught.value.field == field
