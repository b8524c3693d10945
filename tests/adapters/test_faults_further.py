"""More members of the kinds of faults that were seen in the field, by their numbers: what a second look at each kind has found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from adapters import AnthropicAdapter, LMStudioAdapter, OllamaAdapter, OpenAIAdapter
from adapters.http.error_body import has_error
from adapters.http.errors import adapter_error
from statemachine import (
    AdapterBusyError,
    AdapterConfig,
    AdapterError,
    AdapterProtocolError,
    AuthenticationError,
    CallOptions,
    ContextLengthError,
    ModelLoadError,
    StreamEvent,
    ToolCall,
    TruncatedStreamError,
)

from .events import text as text_of
from .loopback import Reply, Request, json_reply, loopback, stream_reply
from .scripted import DONE, PROMPT, Scripted, ask, chunk

SERVER = "http://host"
STUDIO_ROW = {"type": "llm", "key": "m", "loaded_instances": [{"id": "m", "config": {}}]}
FIELD_FAULTS = range(1, 32)


def test_every_kind_has_a_test_by_its_number() -> None:
    names = re.compile(r"def (test_(?:[fr]\d\d_)+)")
    sources = Path(__file__).parents[1].rglob("test_*.py")
    found = {number for path in sources for name in names.findall(path.read_text()) for number in name.split("_")}
    assert [f"f{number:02d}" for number in FIELD_FAULTS if f"f{number:02d}" not in found] == []


async def said(reply: Reply, kind: type[Any] = OpenAIAdapter, **options: Any) -> list[StreamEvent]:
    """What a call makes of ``reply``, on a real socket."""

    def handle(request: Request) -> Reply:
        lists = {"/api/ps": {"models": [{"model": "m:latest"}]}, "/api/v1/models": {"models": [STUDIO_ROW]}}
        return json_reply(lists[request.path]) if request.path in lists else reply

    async with loopback(handle) as server:
        adapter = kind(AdapterConfig("p", "m", {"base_url": server.url, "read_timeout": 1, **options}))
        if hasattr(adapter, "start"):
            await adapter.start()
        events = [event async for event in adapter.call(PROMPT, CallOptions())]
        await adapter.shutdown()
        return events


def tool(*calls: Any, reason: str = "tool_calls") -> Scripted:
    return Scripted(*(chunk({"tool_calls": given}) for given in calls), chunk({}, reason), DONE)


def call(index: int | None, call_id: str | None, name: Any, arguments: Any) -> dict[str, Any]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


def joined(events: list[StreamEvent]) -> list[tuple[str | None, str | None, str]]:
    """Each call's id, name and arguments."""
    whole: dict[int, tuple[str | None, str | None, str]] = {}
    for event in events:
        if isinstance(piece := event.data, ToolCall):
            before = whole.get(piece.index, (None, None, ""))
            whole[piece.index] = (before[0] or piece.id, before[1] or piece.name, before[2] + piece.arguments)
    return list(whole.values())


# ---- F1, F2: tool calls ----


async def test_f01_calls_in_an_object_by_their_numbers() -> None:
    calls = {"0": call(None, "a", "f", '{"p":1}'), "1": call(None, "b", "g", '{"q":2}')}
    assert joined(await ask(tool(calls))) == [("a", "f", '{"p":1}'), ("b", "g", '{"q":2}')]


async def test_f01_a_whole_call_told_again_is_the_same_call() -> None:
    whole = [call(0, "a", "f", '{"p":1}')]
    in_pieces = [[call(0, "a", "f", '{"p"')], [call(0, None, None, ":1}")]]
    for calls in ([whole, whole], [*in_pieces, whole], [whole, [call(0, "a", "f", '{"p":1}')], whole]):
        assert joined(await ask(tool(*calls))) == [("a", "f", '{"p":1}')]
    other = [call(0, "a", "f", '{"p":2}')]
    assert joined(await ask(tool(whole, other))) == [("a", "f", '{"p":1}'), ("a", "f", '{"p":2}')]


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([[{"foo": 1}]], id="of no known shape"),
        pytest.param([[call(0, "a", None, "{}")]], id="without a name"),
        pytest.param([[call(0, "a", {"x": 1}, "{}")]], id="a name that is none"),
        pytest.param([[call(0, "a", "f", '{"p":')], [call(0, "b", None, "1}")]], id="a new id in the midst"),
        pytest.param([[call(0, "a", "we", "")], [call(0, None, "ather", "{}")]], id="a name in pieces"),
    ],
)
async def test_f01_what_cannot_be_called_does_not_end_well(calls: list[Any]) -> None:
    assert isinstance((await ask(tool(*calls)))[-1].data, AdapterProtocolError)


@pytest.mark.parametrize("nothing", ["", None, [], {}])
async def test_f02_a_call_without_arguments_has_the_empty_object(nothing: Any) -> None:
    (only,) = joined(await ask(tool([call(0, "a", "f", nothing)])))
    assert json.loads(only[2]) in ({}, [])


@pytest.mark.parametrize("reason", ["tool_calls", "function_call"])
async def test_f03_an_end_with_tool_calls_of_which_none_came_is_no_end(reason: str) -> None:
    assert isinstance((await ask(tool(reason=reason)))[-1].data, AdapterProtocolError)
    spoken = await ask(Scripted(chunk({"content": "x"}), chunk({}, reason), DONE))
    assert spoken[-1] == StreamEvent("end", reason)


# ---- F3: text in places that are not known ----


@pytest.mark.parametrize("delta", [{"text": "x"}, {"content": None, "text": "x"}, {"content": "", "text": "x"}])
async def test_f03_text_by_another_name(delta: dict[str, Any]) -> None:
    assert text_of(await ask(Scripted(chunk(delta, "stop"), DONE))) == "x"
    choice = {"index": 0, "delta": {}, "text": "x", "finish_reason": "stop"}
    assert text_of(await ask(Scripted(f"data: {json.dumps({'choices': [choice]})}\n\n", DONE))) == "x"


@pytest.mark.parametrize(
    "delta",
    [
        {"message": {"content": "x"}},
        {"audio": {"transcript": "x"}},
        {"tool_call": {"id": "a", "function": {"name": "f"}}},
        {"images": [{"image_url": {"url": "data:"}}]},
        {"output": "x"},
    ],
)
async def test_f03_an_answer_of_nothing_but_what_is_not_known_does_not_end_well(delta: dict[str, Any]) -> None:
    assert isinstance((await ask(Scripted(chunk(delta, "stop"), DONE)))[-1].data, AdapterProtocolError)
    beside = await ask(Scripted(chunk({"content": "y"}), chunk(delta, "stop"), DONE))
    assert (text_of(beside), beside[-1]) == ("y", StreamEvent("end", "stop"))


@pytest.mark.parametrize("member", [{"a": [1]}, [7], {"tokens": 12}, "null", {"text": ""}, True])
async def test_f03_a_member_without_text_is_not_an_answer_that_was_lost(member: object) -> None:
    assert (await ask(Scripted(chunk({"content": "", "more": member}, "stop"), DONE))) == [StreamEvent("end", "stop")]


@pytest.mark.parametrize("delta", [{}, {"role": "assistant"}, {"content": ""}, {"annotations": [{"type": "url"}]}])
async def test_f03_an_empty_answer_is_one(delta: dict[str, Any]) -> None:
    assert await ask(Scripted(chunk(delta, "stop"), DONE)) == [StreamEvent("end", "stop")]


async def test_f03_the_same_of_the_other_protocols() -> None:
    line = json.dumps({"message": {"role": "assistant", "text": "x"}, "done": False})
    last = json.dumps({"message": {"content": ""}, "done": True, "done_reason": "stop"})
    assert text_of(await said(stream_reply(f"{line}\n{last}\n"), OllamaAdapter)) == "x"
    odd = json.dumps({"message": {"role": "assistant", "speech": "x"}, "done": False})
    assert isinstance((await said(stream_reply(f"{odd}\n{last}\n"), OllamaAdapter))[-1].data, AdapterProtocolError)
    for delta, kind in (
        ({"type": "text_delta", "content": "x"}, StreamEvent),
        ({"type": "text_delta", "t": "x"}, AdapterError),
    ):
        events = [{"type": "content_block_delta", "index": 0, "delta": delta}, *CLOSING]
        got = await said(stream_reply(*(f"data: {json.dumps(event)}\n\n" for event in events)), AnthropicAdapter)
        assert (got[-1].type == "end", text_of(got)) == ((True, "x") if kind is StreamEvent else (False, ""))


CLOSING: list[dict[str, Any]] = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]


# ---- F8, F9: heads and bodies ----


@pytest.mark.parametrize("then", ["reset", "silence"])
@pytest.mark.parametrize("kind", [OpenAIAdapter, OllamaAdapter, AnthropicAdapter])
async def test_f08_the_status_decides_though_its_body_never_ends(kind: type[Any], then: str) -> None:
    head = {"Content-Type": "application/json", "Retry-After": "7"}
    reply = Reply([b'{"error": '], 429, head, then=then)
    (event,) = await said(reply, kind)
    assert isinstance(event.data, AdapterBusyError)
    assert (event.data.status, event.data.retry_after) == (429, 7.0)


async def test_f08_a_refusal_without_end_is_not_waited_for_like_an_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began = trio.current_time()
    (event,) = await ask(Scripted(b"{", status=503, kind="application/json", then="silence"), read_timeout=600)
    assert isinstance(event.data, AdapterBusyError)
    assert trio.current_time() - began < 16


async def test_f08_the_status_decides_whatever_the_size_and_the_encoding() -> None:
    (event,) = await said(Reply([b"x" * 1_000_000] * 34, 401))
    assert isinstance(event.data, AuthenticationError)
    (event,) = await said(Reply([b"no gzip"], 503, {"Content-Encoding": "gzip"}))
    assert isinstance(event.data, AdapterBusyError)


PIECES = [
    {"choices": [{"delta": {"content": "hel"}}]},
    {"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]},
]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("".join(json.dumps(piece) + "\n" for piece in PIECES), id="lines without a label"),
        pytest.param(json.dumps(PIECES), id="one list"),
        pytest.param(json.dumps(PIECES, indent=2), id="one list over many lines"),
    ],
)
async def test_f09_a_stream_in_another_form(body: str) -> None:
    events = await ask(Scripted(body, kind="application/json"))
    assert (text_of(events), events[-1]) == ("hello", StreamEvent("end", "stop"))


async def test_f09_lines_without_a_label_stream(autojump_clock: trio.testing.MockClock) -> None:
    app = Scripted(json.dumps(PIECES[0]) + "\n", kind="application/json", then="silence")
    events = await ask(app, read_timeout=2)
    assert [event.type for event in events] == ["token", "error"]


async def test_f09_the_name_of_an_event_is_its_type_where_the_data_has_none() -> None:
    text = {"index": 0, "delta": {"type": "text_delta", "text": "hi"}}
    frames = [f"event: content_block_delta\ndata: {json.dumps(text)}\n\n"]
    frames += [
        f"event: {event['type']}\ndata: {json.dumps({k: v for k, v in event.items() if k != 'type'})}\n\n"
        for event in CLOSING
    ]
    events = await said(stream_reply(*frames), AnthropicAdapter)
    assert (text_of(events), events[-1]) == ("hi", StreamEvent("end", "stop"))


# ---- F10, F21, F28: what an error says ----


@pytest.mark.parametrize(
    "payload",
    [
        {"error": {"message": "slow down", "http_status": 429}},
        {"error": {"message": "slow down", "httpStatusCode": "429"}},
        {"error_code": 429, "error_msg": "x"},
        {"error": '{"code": 429, "message": "slow down"}'},
        {"error": {"message": '{"error": {"code": 429, "message": "slow down"}}'}},
        {"status": "error", "message": "Too many requests"},
        {"success": False, "message": "too many requests"},
        {"choices": [{"index": 0, "delta": {"content": "", "error": {"code": 429, "message": "x"}}}]},
    ],
)
async def test_f10_a_status_by_any_name_and_in_any_place(payload: dict[str, Any]) -> None:
    (event,) = await ask(Scripted(f"data: {json.dumps(payload)}\n\n"))
    assert isinstance(event.data, AdapterBusyError)


@pytest.mark.parametrize("error", [{"code": 200, "message": "success"}, {"code": "0", "message": "ok"}, {"code": "OK"}])
async def test_f21_an_error_that_says_that_all_is_well_is_none(error: dict[str, Any]) -> None:
    assert not has_error({"choices": [], "error": error})
    assert has_error({"choices": [], "error": {**error, "message": "no"}})
    events = await ask(Scripted(chunk({"content": "x"}, "stop", error=error), DONE))
    assert (text_of(events), events[-1]) == ("x", StreamEvent("end", "stop"))


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (500, "model requires more system memory (5.6 GiB) than is available (3.1 GiB)", ModelLoadError),
        (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", ContextLengthError),
        (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", ContextLengthError),
    ],
)
def test_f28_more_words(status: int, text: str, kind: type[AdapterError]) -> None:
    error = adapter_error(status, {"error": text}, server=SERVER)
    assert type(error) is kind
    assert not error.retryable


def _quoting(levels: int) -> str:
    text = "x"
    for _ in range(levels):
        text = json.dumps({"error": {"message": text}})
    return text


@pytest.mark.parametrize("make", [lambda: _quoting(8), lambda: "{" * 5000, lambda: '{"error": {"message": "{'])
def test_f20_a_quoted_error_of_any_depth_is_one(make: Callable[[], str]) -> None:
    error = adapter_error(500, {"error": {"message": make()}}, server=SERVER)
    assert len(str(error)) < 700


# ---- the same of responses, and of LM Studio's own chat ----


def frames(*events: dict[str, Any]) -> Reply:
    return stream_reply(*(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events))


def completed(*output: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"status": "completed", "output": list(output)}}


def late(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.done", "output_index": 0, "item_id": "i"} | more


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([late("output_text", text="x")], id="only the whole text"),
        pytest.param([late("content_part", part={"type": "output_text", "text": "x"})], id="only the whole part"),
        pytest.param(
            [late("output_text", text="x"), late("content_part", part={"type": "output_text", "text": "x"})], id="both"
        ),
        pytest.param(
            [{"type": "response.output_text.delta", "output_index": 0, "delta": "x"}, late("output_text", text="x")],
            id="a piece and the whole",
        ),
        pytest.param(
            [
                {"type": "response.output_text.delta", "output_index": 0, "delta": "x"},
                late("output_text", text="x", output_index="", item_id=None),
            ],
            id="a piece, and the whole of no known place",
        ),
    ],
)
async def test_f03_f15_a_response_without_pieces_is_told_all_the_same(events: list[dict[str, Any]]) -> None:
    got = await said(frames(*events, completed()), api="responses")
    assert (text_of(got), got[-1]) == ("x", StreamEvent("end", "stop"))


async def test_f01_arguments_of_a_response_without_pieces() -> None:
    item = {"type": "function_call", "id": "i", "call_id": "c", "name": "f", "arguments": ""}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    got = await said(frames(added, late("function_call_arguments", arguments='{"p":1}'), completed()), api="responses")
    assert joined(got) == [("c", "f", '{"p":1}')]


@pytest.mark.parametrize(
    ("body", "text", "error"),
    [
        ({"status": "completed", "output": [], "output_text": "x"}, "x", None),
        ({"status": "completed", "output": {"type": "message", "content": "x"}}, "x", None),
        ({"status": "completed", "output": [{"type": "image_generation_call"}]}, "", AdapterProtocolError),
        ({"status": "in_progress", "output": []}, "", TruncatedStreamError),
        ({"status": "queued", "output": [{"type": "message", "content": "x"}]}, "x", TruncatedStreamError),
    ],
)
async def test_f03_f04_whole_responses(body: dict[str, Any], text: str, error: type[AdapterError] | None) -> None:
    got = await said(json_reply(body), api="responses")
    assert text_of(got) == text
    assert got[-1] == StreamEvent("end", "stop") if error is None else isinstance(got[-1].data, error)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("eosFound", "stop"),
        ("maxPredictedTokensReached", "length"),
        ("failed", AdapterError),
        ("userStopped", TruncatedStreamError),
        ("modelUnloaded", AdapterError),
        ("null", None),
    ],
)
async def test_f11_why_lm_studios_own_chat_has_stopped(reason: str, told: Any) -> None:
    end = {"type": "chat.end", "result": {"output": [], "stats": {"stop_reason": reason}}}
    got = await said(frames({"type": "message.delta", "content": "x"}, end), LMStudioAdapter, api="native")
    assert text_of(got) == "x"
    assert got[-1].data == told if isinstance(told, str | None) else isinstance(got[-1].data, told)
