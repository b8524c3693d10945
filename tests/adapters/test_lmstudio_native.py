"""LM Studio's own chat, ``/api/v1/chat``, through the adapter: against the mock, and against recorded shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing

from adapters import LMStudioAdapter
from adapters.lmstudio.native import native_request
from simulation.mock.lmstudio.server import MockLMStudio
from simulation.mock.transport import StreamingTransport
from simulation.timing.latency import LatencyProfile, ModelSpec
from statemachine import AdapterConfig, CallOptions, ConfigurationError, StreamEvent

from .scripted import PROMPT
from .studio import CHAT, LOAD, answer, make, paths, studio

NATIVE = "/api/v1/chat"


@asynccontextmanager
async def adapter() -> AsyncIterator[tuple[MockLMStudio, LMStudioAdapter]]:
    server = MockLMStudio([ModelSpec("maker/m", load_seconds=1)], LatencyProfile(jitter=0))
    async with StreamingTransport(server) as transport:
        opened = LMStudioAdapter(AdapterConfig("p", "maker/m", {"api": "native"}), transport=transport)
        await opened.start()
        yield server, opened
        await opened.shutdown()


async def asked(opened: LMStudioAdapter, **options: Any) -> list[StreamEvent]:
    return [event async for event in opened.call(PROMPT, CallOptions(**options))]


def joined(events: Sequence[StreamEvent], kind: str) -> str:
    return "".join(str(event.data) for event in events if event.type == kind)


async def test_a_streamed_and_a_whole_answer_say_the_same(autojump_clock: trio.testing.MockClock) -> None:
    parameters = {"max_tokens": 6, "reasoning": "low"}
    async with adapter() as (server, opened):
        streamed = await asked(opened, parameters=parameters)
        whole = await asked(opened, parameters=parameters, stream=False)
        assert list(server.resident) == ["maker/m"]
    for events in (streamed, whole):
        assert joined(events, "token")
        assert joined(events, "reasoning")
        metadata = [event.data for event in events if isinstance(event.data, Mapping)][-1]
        assert metadata["usage"]["completion_tokens"] == metadata["stats"]["total_output_tokens"] == 6
        assert events[-1] == StreamEvent("end", None), "the protocol does not say why an answer ends"
    assert len(joined(streamed, "token").split()) + len(joined(streamed, "reasoning").split()) == 6
    assert len([event for event in streamed if event.type == "token"]) > 1


async def test_it_tells_how_far_the_prompt_is(autojump_clock: trio.testing.MockClock) -> None:
    async with adapter() as (_, opened):
        events = await asked(opened, parameters={"max_tokens": 2})
    figures = [event.data for event in events if isinstance(event.data, Mapping)]
    progress = [each["progress"] for each in figures if "progress" in each]
    assert {each["stage"] for each in progress} == {"prompt_processing"}
    assert [each["done"] for each in progress] == sorted(each["done"] for each in progress)
    assert progress[-1]["done"] == 1


async def test_an_error_ends_the_answer_though_more_follows(autojump_clock: trio.testing.MockClock) -> None:
    async with adapter() as (server, opened):
        server.faults.break_next_stream("error", after_chunks=2, message="out of memory")
        events = await asked(opened, parameters={"max_tokens": 6})
    assert events[-1].type == "error"
    assert "out of memory" in str(events[-1].data)


async def test_it_asks_the_instance_that_was_loaded() -> None:
    async with studio() as (_, server):
        opened = make(server, api="native")
        await opened.start()
        events = await answer(opened)
        assert events[-1].type == "error", "this server has no such path, and says so with status 200"
        assert "Unexpected endpoint" in str(events[-1].data)
        assert paths(server) == [LOAD, NATIVE]
        assert CHAT not in paths(server)
        await opened.shutdown()


def test_the_body_of_a_request() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    prompt: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
    ]
    options = CallOptions(parameters={"max_tokens": 5, "temperature": 0, "reasoning": "off"})
    assert native_request("m:2", prompt, options).body == {
        "model": "m:2",
        "store": False,
        "stream": True,
        "system_prompt": "Be brief.",
        "input": [
            {"type": "message", "content": "hi"},
            {"type": "message", "content": "look"},
            {"type": "image", "data_url": "data:image/png;base64,AA=="},
        ],
        "max_output_tokens": 5,
        "temperature": 0,
        "reasoning": "off",
    }


@pytest.mark.parametrize(
    ("prompt", "options", "field"),
    [
        (PROMPT, {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ([*PROMPT, {"role": "assistant", "content": "hello"}], {}, r"prompt\[1\]\.role"),
        ([{"role": "tool", "content": "7", "tool_call_id": "a"}], {}, r"prompt\[0\]\.role"),
        (PROMPT, {"parameters": {"model": "x"}}, "parameters.model"),
    ],
)
def test_what_it_cannot_say_is_refused(prompt: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        native_request("m", prompt, CallOptions(**options))
