"""What OllamaAdapter sends: calls in OpenAI's shape as requests for ``/api/chat``."""

from __future__ import annotations

from typing import Any

import pytest

from adapters import OllamaAdapter
from adapters.ollama.request import chat_request
from statemachine import AdapterConfig, CallOptions, RuntimeProviderConfig
from statemachine.errors import ConfigurationError

USER = {"role": "user", "content": "hi"}


def body(*prompt: dict[str, Any], runner: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return dict(chat_request("m", prompt, CallOptions(**options), runner or {}).body)


def test_a_prompt_without_anything_special() -> None:
    assert body(USER) == {"model": "m", "messages": [USER], "stream": True}


def test_calls_of_tools_have_objects_and_results_the_tools_name() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"p": "a"}'}}
    made = body(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a wall"},
        tools=[{"type": "function", "function": {"name": "look"}}],
    )
    assert made["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": {"p": "a"}}}],
        },
        {"role": "tool", "content": "a wall", "tool_name": "look"},
    ]
    assert made["tools"] == [{"type": "function", "function": {"name": "look"}}]


def test_images_stand_beside_the_text() -> None:
    parts = [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    assert body({"role": "user", "content": parts})["messages"] == [
        {"role": "user", "content": "what?", "images": ["AAAA"]}
    ]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"max_tokens": 5}, {"options": {"num_predict": 5}}),
        ({"max_completion_tokens": 5}, {"options": {"num_predict": 5}}),
        ({"temperature": 0, "stop": ["x"]}, {"options": {"temperature": 0, "stop": ["x"]}}),
        ({"options": {"mirostat": 1}, "seed": 3}, {"options": {"mirostat": 1, "seed": 3}}),
        ({"think": True}, {"think": True}),
        ({"format": "json"}, {"format": "json"}),
        ({"response_format": {"type": "json_object"}}, {"format": "json"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
            {"format": {"type": "object"}},
        ),
    ],
)
def test_parameters(given: dict[str, Any], sent: dict[str, Any]) -> None:
    assert body(USER, parameters=given) == {**body(USER), **sent}


def test_the_instances_options_go_with_every_request() -> None:
    made = body(USER, runner={"num_ctx": 8192}, parameters={"temperature": 1})
    assert made["options"] == {"num_ctx": 8192, "temperature": 1}


@pytest.mark.parametrize(
    ("prompt", "parameters", "field"),
    [
        ([USER], {"keep_alive": 0}, "parameters.keep_alive"),
        ([USER], {"num_ctx": 8192}, "parameters.num_ctx"),
        ([USER], {"options": {"num_gpu": 1}}, "parameters.num_gpu"),
        ([USER], {"options": 7}, "parameters.options"),
        ([USER], {"response_format": {"type": "poem"}}, "parameters.response_format"),
        ([{"role": "user", "content": [{"image_url": {"url": "https://host/x.png"}}]}], {}, "prompt[0].content[0]"),
        ([{"role": "assistant", "tool_calls": 5}], {}, "prompt[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": {"id": "t"}}], {}, "prompt[0].tool_calls"),
    ],
)
def test_what_has_no_place_is_refused_by_its_path(prompt: Any, parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        body(*prompt, parameters=parameters)
    assert caught.value.field == field


def test_what_makes_the_server_load_again_is_identity() -> None:
    def signature(**options: Any) -> str:
        return RuntimeProviderConfig("ollama", "m", options).config_signature

    assert signature(num_ctx=4096) != signature(num_ctx=8192)
    for name, value in (
        ("num_ctx", 4096),
        ("num_gpu", 0),
        ("use_mmap", False),
        ("keep_alive", "10m"),
        ("keep_alive", -1),
    ):
        OllamaAdapter(AdapterConfig("ollama", "m", {name: value}))


@pytest.mark.parametrize("options", [{"num_ctx": 0}, {"num_ctx": "many"}, {"temperature": 1}, {"keep_alive": None}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="adapter_options"):
        OllamaAdapter(AdapterConfig("ollama", "m", options))
