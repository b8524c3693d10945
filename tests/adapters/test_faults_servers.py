"""Faults of servers that load models, by their numbers: F5 to F7, F16 to F18, F24 to F28 and R6.

Each is a kind; several of its members are tried.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

from adapters.http.bounds import Bounds
from adapters.http.chat import stream_chat
from adapters.http.client import HttpClient
from adapters.http.errors import adapter_error
from adapters.http.messages import chat_request
from statemachine import (
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterRequestError,
    AdapterTimeoutError,
    CallOptions,
    ContextLengthError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
    StreamEvent,
    TruncatedStreamError,
)

from .loopback import Reply, Request, json_reply, loopback, stream_reply
from .scripted import DONE, chunk, openai
from .studio import CHAT, LIST, LOAD, PROMPT, UNLOAD, answer, make, paths, studio

HI = chunk({"content": "x"})


# ---- F5: a cause is not inferred without looking ----


@pytest.mark.parametrize(
    "reply",
    [
        json_reply(openai("Invalid model identifier", "model_not_found"), 400),
        json_reply(openai("Model unloaded."), 400),
        json_reply({"error": "The model has crashed without additional information."}, 500),
        json_reply(openai("Failed to load model m"), 400),
        json_reply({"error": {"type": "not_found_error", "message": "File Not Found"}}, 404),
        json_reply(openai("No models loaded."), 400),
    ],
)
async def test_f05_what_the_list_shows_loaded_was_not_evicted(reply: Reply) -> None:
    async with studio(said={CHAT: [reply] * 3}) as (_, server):
        adapter = make(server)
        await adapter.start()
        for _ in range(3):
            (event,) = await answer(adapter)
            assert isinstance(event.data, AdapterError)
            assert not isinstance(event.data, ModelEvictedError)
            assert not event.data.broken
            assert not event.data.retryable
        assert (await answer(adapter))[-1] == StreamEvent("end", "stop")
        await adapter.shutdown()
    assert paths(server) == [LOAD, *[CHAT] * 4, UNLOAD]


async def test_f05_what_the_list_does_not_show_was() -> None:
    def evict() -> Reply:
        state.instances.clear()
        return json_reply(openai("Invalid model identifier", "model_not_found"), 400)

    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()
        state.said[CHAT] = [evict]
        (event,) = await answer(adapter)
        assert isinstance(event.data, ModelEvictedError)
        assert (event.data.broken, event.data.retryable) == (True, True)
        assert isinstance(event.data.__cause__, ModelNotFoundError)
        await adapter.shutdown()


@pytest.mark.parametrize("kind", ["embedding", "embeddings"])
async def test_f05_start_refuses_what_cannot_chat(kind: str) -> None:
    async with studio(rows={"m": {"type": kind}}) as (state, server):
        state.load("m")
        adapter = make(server)
        with pytest.raises(AdapterRequestError, match="cannot chat"):
            await adapter.start()
        await adapter.shutdown()
    assert (paths(server), list(state.instances)) == ([], ["m"])


# ---- F6: what was seen once is not trusted later ----


async def test_f06_another_configuration_under_the_same_id_is_told_and_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with studio() as (state, server):
        adapter = make(server, context_length=16_384)
        await adapter.start()
        state.instances["m"] = ("m", {"context_length": 4096})
        (event,) = await answer(adapter)
        assert isinstance(event.data, ModelEvictedError)
        assert "another context_length" in str(event.data)
        with caplog.at_level(logging.WARNING):
            await adapter.shutdown()
    assert (paths(server), state.instances) == ([LOAD], {"m": ("m", {"context_length": 4096})})
    assert "left loaded" in caplog.text


@pytest.mark.parametrize("change", ["gone", "asked", "told"])
async def test_f06_looked_at_before_each_call(change: str) -> None:
    async with studio() as (state, server):
        if change == "told":  # nothing was asked for: the comparison is with what the list told at the start
            state.load("m", context_length=8192, parallel=4)
        options: dict[str, Any] = {"context_length": 8192} if change == "asked" else {}
        adapter = make(server, **options)
        await adapter.start()
        state.instances = {} if change == "gone" else {"m": ("m", {"context_length": 2048})}
        (event,) = await answer(adapter)
        assert isinstance(event.data, ModelEvictedError)
        await adapter.shutdown()
    assert CHAT not in paths(server)


async def test_f06_what_the_server_stops_to_tell_is_no_change() -> None:
    async with studio() as (state, server):
        state.load("m", context_length=8192)
        adapter = make(server)
        await adapter.start()
        state.instances = {"m": ("m", {})}
        assert (await answer(adapter))[-1].type == "end"
        state.said[LIST] = [json_reply({"error": "oh"}, 503)]
        assert (await answer(adapter))[-1].type == "end", "a list that cannot be read shows nothing"
        await adapter.shutdown()


# ---- F7: no hidden queue ----


async def test_f07_no_request_waits_below_the_manager() -> None:
    everybody_is_there = trio.Event()

    async def handle(request: Request) -> Reply:
        if server.open == 150:
            everybody_is_there.set()
        await everybody_is_there.wait()
        return stream_reply(HI, chunk({}, "stop"), DONE)

    async with loopback(handle) as server:
        http = HttpClient(server.url)
        ends: list[StreamEvent] = []

        async def call() -> None:
            ends.append([e async for e in stream_chat(http, chat_request("m", PROMPT, CallOptions()))][-1])

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(150):
                    nursery.start_soon(call)
        assert ends == [StreamEvent("end", "stop")] * 150
        await http.aclose()


async def test_f07_cancelling_under_contention_leaves_the_client_usable() -> None:
    async def handle(request: Request) -> Reply:
        if request.json["model"] == "slow":
            await trio.sleep(0.3)
        return stream_reply(HI, chunk({}, "stop"), DONE)

    async with loopback(handle) as server:
        http = HttpClient(server.url)

        async def call(model: str) -> StreamEvent:
            return [e async for e in stream_chat(http, chat_request(model, PROMPT, CallOptions()))][-1]

        async with trio.open_nursery() as nursery:
            for _ in range(120):
                nursery.start_soon(call, "slow")
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        assert await call("quick") == StreamEvent("end", "stop")
        await http.aclose()


# ---- F16, F18: which instance is which model ----

VARIANTS = {"type": "llm", "variants": ["big@q4", "big@q8"], "selected_variant": "big@q4"}


@pytest.mark.parametrize(
    ("loaded", "model", "fits"),
    [
        (("big", "mine"), "mine", True),  # lms load big --identifier mine
        (("big", "mine"), "big", True),
        (("big", "big:2"), "big", True),
        (("big", "big:2"), "big:2", True),
        (("big", "big"), "big:2", False),
        (("big", "big@q8"), "big@q4", False),  # its own id is believed, not the variant that would be loaded
        (("big", "big@q8"), "big@q8", True),
        (("big", "big@q8:2"), "big@q8", True),
        (("big", "big@q8"), "big", True),
        (("big", "big@q4"), "big@q4", True),
        (("big", "big"), "big@q4", True),
    ],
)
async def test_f16_f18_an_instance_is_what_its_id_says(loaded: tuple[str, str], model: str, fits: bool) -> None:
    async with studio(rows={"big": VARIANTS, "big:2": {}}) as (state, server):
        state.load(*loaded)
        adapter = make(server, model)
        await adapter.start()
        (token, _) = await answer(adapter)
        assert (LOAD in paths(server)) is not fits
        assert (token.data == loaded[1]) is fits
        await adapter.shutdown()
        assert list(state.instances) == [loaded[1]], "what was there stays there"


# ---- F17: never sent, or lost after it was sent ----


async def test_f17_a_load_that_never_left_is_not_looked_for() -> None:
    async with studio() as (state, server):

        def the_last() -> Reply:
            server.accepting.cancel()
            return json_reply({"models": [{"key": "n", "loaded_instances": [{"id": "n"}]}]}, pause=0.05)

        state.said[LIST] = [the_last]
        adapter = make(server)
        with pytest.raises(AdapterConnectError) as caught:
            await adapter.start()
        assert not caught.value.sent
        with trio.fail_after(1):
            await adapter.shutdown()


async def test_f17_a_load_that_was_cut_is_looked_for() -> None:
    async with studio() as (state, server):

        def cut() -> Reply:
            state.load("m")
            return Reply(chunked=False, headers={"Content-Length": "99"}, then="reset")

        state.said[LOAD] = [cut]
        adapter = make(server)
        await adapter.start()
        await adapter.shutdown()
    assert (paths(server), state.instances) == ([LOAD, UNLOAD], {})


@pytest.mark.parametrize("status", [500, 502])
async def test_f17_r06_a_load_that_was_refused_in_passing_may_have_happened(status: int) -> None:
    async with studio() as (state, server):

        def loading_all_the_same() -> Reply:
            state.load("m")
            return json_reply({"error": "proxy"}, status)

        state.said[LOAD] = [loading_all_the_same]
        adapter = make(server)
        with pytest.raises(AdapterError) as caught:
            await adapter.start()
        assert caught.value.retryable
        await adapter.shutdown()
        assert state.instances == {}


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("path", [LIST, LOAD])
async def test_r06_a_server_that_is_busy_is_asked_again(status: int, path: str) -> None:
    async with studio(said={path: [json_reply({"error": "oh"}, status)] * 2}) as (state, server):
        adapter = make(server)
        await adapter.start()
        assert list(state.instances) == ["m"]
        assert (await answer(adapter))[-1].type == "end"
        await adapter.shutdown()
        assert (paths(server).count(UNLOAD), state.instances) == (1, {})


async def test_r06_a_load_is_not_repeated_before_the_list_was_read_again() -> None:
    def loading_all_the_same() -> Reply:
        state.load("m")
        return json_reply({"error": "proxy"}, 503)

    async with studio() as (state, server):
        state.said[LOAD] = [loading_all_the_same]
        adapter = make(server)
        await adapter.start()
        await adapter.shutdown()
        assert paths(server).count(LOAD) == 1


# ---- F24: no connection is used as the server closes it ----


@pytest.mark.parametrize(("then", "idle_seconds"), [("close", 5.0), ("keep", 0.005), ("keep", 5.0)])
async def test_f24_no_connection_is_used_as_the_server_closes_it(then: str, idle_seconds: float) -> None:
    """A server that closes right after its answer, and one whose idle connections expire as the next request comes.

    Ten thousand calls of each kind went without a failure; here are a few hundred.
    """
    reply = stream_reply(HI, chunk({}, "stop"), DONE, then=then)
    async with loopback(lambda _: reply, idle_seconds=idle_seconds) as server:
        http = HttpClient(server.url)
        for number in range(150):
            events = [e async for e in stream_chat(http, chat_request("m", PROMPT, CallOptions()))]
            assert events[-1] == StreamEvent("end", "stop")
            await trio.sleep(idle_seconds if idle_seconds < 1 and number % 3 else 0)
        assert server.connections == 150
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert server.open == 0, "none is kept"
        await http.aclose()


# ---- F25, R6: an unload is repeated until the list says that it is done ----


@pytest.mark.parametrize(
    "fault",
    [
        json_reply({"error": "oh"}, 503),
        json_reply({"error": "oh"}, 500),
        json_reply({"error": "oh"}, 502),
        json_reply({"error": "oh"}, 429),
        json_reply({"error": "oh"}, 529),
        Reply(chunked=False, headers={"Content-Length": "9"}, then="reset"),
        Reply([b"<html>"]),
        json_reply({}),  # it says that it has, and has not
    ],
)
@pytest.mark.parametrize("path", [UNLOAD, LIST])
async def test_f25_r06_what_passes_does_not_decide_about_an_unload(fault: Reply, path: str) -> None:
    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()
        state.said[path] = [fault] * (3 if path == UNLOAD else 1)
        await adapter.shutdown()
        assert state.instances == {}


async def test_f25_only_within_its_time_out() -> None:
    async with studio() as (state, server):
        adapter = make(server, unload_timeout=1)
        await adapter.start()
        state.said[UNLOAD] = [json_reply({"error": "oh"}, 503)] * 100
        with pytest.raises(AdapterTimeoutError, match="1 s"):
            await adapter.shutdown()
        assert paths(server).count(UNLOAD) >= 2


async def test_f25_what_cannot_pass_is_told_at_once() -> None:
    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()
        state.said[UNLOAD] = [json_reply(openai("no", "invalid_api_key"), 401)]
        with pytest.raises(AdapterRequestError):
            await adapter.shutdown()
        assert paths(server).count(UNLOAD) == 1


@pytest.mark.parametrize("status", [500, 503, 404])
async def test_r06_a_failing_list_that_is_optional_fails_nothing(status: int) -> None:
    async with studio(said={"/api/v0/models": [json_reply({"error": "oh"}, status)] * 9}) as (state, server):
        adapter = make(server)
        await adapter.start()
        assert (await answer(adapter))[-1].type == "end"
        await adapter.shutdown()
    assert state.instances == {}


# ---- F26: a stream that stops is news of the instance ----


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("gone", [True, False])
async def test_f26_after_a_broken_stream_the_list_is_read(then: str, gone: bool) -> None:
    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()

        def broken() -> Reply:
            if gone:
                state.instances.clear()
            return stream_reply(HI, then=then)

        state.said[CHAT] = [broken]
        last = (await answer(adapter))[-1].data
        assert isinstance(last, ModelEvictedError if gone else (TruncatedStreamError, AdapterConnectError))
        assert last.broken is gone
        await adapter.shutdown()


async def test_f26_where_the_list_cannot_be_read_the_instance_drains() -> None:
    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()

        def broken() -> Reply:
            state.said[LIST] = [json_reply({"error": "oh"}, 503)]
            return stream_reply(HI)

        state.said[CHAT] = [broken]
        last = (await answer(adapter))[-1].data
        assert isinstance(last, TruncatedStreamError)
        assert last.broken
        await adapter.shutdown()


# ---- F28: another server's words ----


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (500, {"message": "model limit reached, try again later", "type": "server_error"}, AdapterBusyError, None),
        (404, {"message": "File Not Found", "type": "not_found_error"}, ModelNotFoundError, None),
        (400, {"message": "model is already running", "type": "invalid_request_error"}, AdapterRequestError, "model_already_running"),
        (400, {"message": "model is not running"}, ModelEvictedError, None),
        (400, {"message": "model 'x' not found"}, ModelNotFoundError, None),
        (500, {"message": "failed to load"}, ModelLoadError, None),
        (503, {"message": "Loading model", "type": "unavailable_error"}, AdapterBusyError, None),
        (400, {"message": "n", "type": "exceed_context_size_error", "code": 400}, AdapterRequestError, None),
        (400, {"message": "prompt is too long: 201000 tokens > 200000 maximum"}, ContextLengthError, None),
        (400, {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}, ContextLengthError, None),
        (404, {"message": "The model `m` does not exist.", "type": "NotFoundError"}, ModelNotFoundError, None),
        (400, {"message": "x/y is not a valid model ID"}, ModelNotFoundError, None),
        (404, {"message": "no", "code": "DeploymentNotFound"}, ModelNotFoundError, "DeploymentNotFound"),
        (200, "overloaded", AdapterBusyError, None),
    ],
)  # fmt: skip
def test_f28_other_servers_words(status: int, error: Any, kind: type[AdapterError], code: str | None) -> None:
    for otherwise in (AdapterError, ModelLoadError):
        found = adapter_error(status, {"error": error}, server="s", otherwise=otherwise)
        assert isinstance(found, kind)
        said = error.get("type") if isinstance(error, dict) else None
        assert (found.status, found.type, found.code) == (status, said, code)


def test_f28_data_are_fields() -> None:
    error = {"message": "m", "type": "invalid_request", "code": "missing_required_parameter", "param": "model"}
    found = adapter_error(400, {"error": error}, server="s")
    assert (found.status, found.type, found.code, found.param) == (
        400,
        "invalid_request",
        "missing_required_parameter",
        "model",
    )


# ---- R21: a client that is closed under a stream ----


async def test_r21_a_client_closed_under_a_stream_is_a_typed_error() -> None:
    async with loopback(lambda _: stream_reply(HI, then="silence")) as server:
        http = HttpClient(server.url, bounds=Bounds.of({"read_timeout": 5}))
        events = stream_chat(http, chat_request("m", PROMPT, CallOptions()))
        assert (await anext(events)).data == "x"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(http.aclose)
            last = await anext(events)
        assert isinstance(last.data, AdapterConnectError)
        await events.aclose()
        (event,) = [e async for e in stream_chat(http, chat_request("m", PROMPT, CallOptions()))]
        assert isinstance(event.data, AdapterConnectError)
        assert "shut down" in str(event.data)
        assert not event.data.retryable
