"""``forward``: a request's bytes to the instance, with the model's name replaced, and the answer's bytes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing

import pytest
import trio

from adapters import LMStudioAdapter, OpenAIAdapter
from adapters.http import Bounds, HttpClient, forward, with_model
from adapters.http.forward import with_options
from statemachine import (
    AdapterConnectError,
    AdapterError,
    AdapterRequestError,
    AdapterTimeoutError,
    ForwardRequest,
    ModelEvictedError,
)

from .loopback import Reply, Request, json_reply, loopback, stream_reply
from .studio import CHAT, LIST, make, studio


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"a","x":1}', b'{"model":"b:2","x":1}'),
        (b' {"x" :[{"model": "a"}] ,\n"model"\t:  "a" , "y":1e400}\r', b' {"x" :[{"model": "a"}] ,\n"model"\t:  "b:2" , "y":1e400}\r'),
        (b'{"model":null}', b'{"model":"b:2"}'),
        (b'{"model":{"model":"a"}}', b'{"model":"b:2"}'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"b:2"}'),
        (b'{"model":"a","model":"c"}', b'{"model":"b:2","model":"b:2"}'),
        ('{"m\u00e9":"\u4e2d","model":"a"}'.encode(), '{"m\u00e9":"\u4e2d","model":"b:2"}'.encode()),
        (b'{"x":"\xff\xfe","model":"a"}', b'{"x":"\xff\xfe","model":"b:2"}'),
        (b'\xef\xbb\xbf{"model":"a"}', b'\xef\xbb\xbf{"model":"b:2"}'),
        (b'\xef\xbb\xbf \t\r\n{\t"a"\r:\n[1] ,\t"model" :\n"a"\t}', b'\xef\xbb\xbf \t\r\n{\t"a"\r:\n[1] ,\t"model" :\n"b:2"\t}'),
        (b'{"a":1,"model":"a","b":[{"model":"a"}]} rest', b'{"a":1,"model":"b:2","b":[{"model":"a"}]} rest'),
        # what stays as it is
        (b'{"x":{"model":"a"}}', None),
        (b'{"x":"\\"model\\":\\"a\\""}', None),
        (b"", None),
        (b"{}", None),
        (b'[{"model":"a"}]', None),
        (b'{"model":"a"', None),
        (b'{"model":"a",}', None),
        (b"model=a", None),
        (b'{"model" "a"}', None),
        (b'{"model":"a" "x":1}', None),
        (b'{"model":"a";"x":1}', None),
        (b'{"model":"a",x:1}', None),
        (b'{"model":"a","x"}', None),
        (b'{"model":"a","x":}', None),
        (b'{,"model":"a"}', None),
        (b'{model:"a"}', None),
        (b'{"model":"a"]', None),
        (b'[{"model":"a"}', None),
        (b'{"model":', None),
        (b'{"model"', None),
        (b'{\x0b"model":"a"}', None),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"model":"a"}', None),
        (b"\x00\x01\xff", None),
        (b'{"x":' + b"[" * 100_000, None),
    ],
)  # fmt: skip
def test_only_the_name_of_the_model_is_replaced(body: bytes, sent: bytes | None) -> None:
    assert with_model(body, "b:2") == (body if sent is None else sent)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"a"}', b'{"options":{"num_ctx": 8},"model":"a"}'),
        (b"{}", b'{"options":{"num_ctx": 8}}'),
        (b'{"options" : {} ,"x":1e400}', b'{"options" : {"num_ctx": 8} ,"x":1e400}'),
        (b'{"options":{"seed":1}}', b'{"options":{"num_ctx": 8,"seed":1}}'),
        (b'{"options":{"num_ctx":9}}', b'{"options":{"num_ctx":9}}'),
        (b'{"options":{"num_ctx":9,"a":1}}', b'{"options":{"num_ctx":9,"a":1}}'),
        (b"\xef\xbb\xbf { }", b'\xef\xbb\xbf {"options":{"num_ctx": 8} }'),
        (b'{"a":"\xff"}', b'{"options":{"num_ctx": 8},"a":"\xff"}'),
        (b'{"options":{"a":1},"options":{}}', b'{"options":{"a":1},"options":{"num_ctx": 8}}'),
        (b'{"a":{"options":1}}', b'{"options":{"num_ctx": 8},"a":{"options":1}}'),
        (b'{"options":3}', b'{"options":3}'),
        (b"[]", b"[]"),
        (b'{"options":{', b'{"options":{'),
    ],
)
def test_options_are_added_where_the_request_does_not_say_them(body: bytes, sent: bytes) -> None:
    assert with_options(body, {"num_ctx": 8}) == sent


REQUEST = ForwardRequest(
    "POST",
    "/v1/chat/completions?a=b%20c",
    [
        ("Content-Type", "application/json"),
        ("X-Session", "1"),
        ("X-Session", "2"),
        ("Authorization", "Bearer client"),
        ("X-Api-Key", "client"),
        ("Cookie", "client"),
        ("Content-Length", "999"),
        ("Host", "gateway"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
        ("Accept-Encoding", "gzip"),
    ],
    b'{"model":"public", "n":1}',
)


def client(url: str, **bounds: float) -> HttpClient:
    return HttpClient(url, token="ours", bounds=Bounds.of(bounds))


async def test_what_reaches_the_server() -> None:
    async with loopback(lambda _: json_reply({"ok": 1})) as server:
        http = client(server.url)
        async with forward(http, REQUEST, "b") as response:
            assert b"".join([piece async for piece in response.body]) == b'{"ok": 1}'
        await http.aclose()
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions?a=b%20c")
    assert request.body == b'{"model":"b", "n":1}'
    assert request.headers["authorization"] == "Bearer ours"
    assert request.headers["content-length"] == "20"
    assert request.headers["x-session"] == "2"
    assert not {"x-api-key", "cookie", "x-hop", "te", "expect", "transfer-encoding"} & request.headers.keys()
    assert request.headers["host"] == server.url.removeprefix("http://")
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [200, 302, 404, 503])
async def test_every_status_is_an_answer(status: int) -> None:
    headers = {"Location": "/elsewhere", "X-Thing": "1", "Connection": "X-Hop", "X-Hop": "1"}
    async with loopback(lambda _: Reply([b"bo", b"dy"], status, headers)) as server:
        http = client(server.url)
        async with forward(http, REQUEST, "b") as response:
            assert response.status == status
            assert dict(response.headers) == {"Location".lower(): "/elsewhere", "x-thing": "1"}
            assert b"".join([piece async for piece in response.body]) == b"body"
        await http.aclose()
    assert len(server.requests) == 1


async def test_pieces_pass_as_they_arrive_and_leaving_ends_the_request() -> None:
    async with loopback(lambda _: stream_reply("data: 1\n\n", then="silence")) as server:
        http = client(server.url)
        async with forward(http, REQUEST, "b") as response, aclosing(response.body) as body:  # type: ignore[type-var]
            assert await anext(body) == b"data: 1\n\n"
        await http.aclose()
        await server.left.wait()


@pytest.mark.parametrize(
    ("reply", "bounds", "kind"),
    [
        (lambda _: Reply([b"x"], then="reset"), {}, AdapterConnectError),
        (lambda _: Reply([b"x"], then="silence"), {"read_timeout": 0.2}, AdapterTimeoutError),
    ],
)
async def test_an_answer_that_breaks_is_a_typed_error(
    reply: Callable[[Request], Reply], bounds: dict[str, float], kind: type[AdapterError]
) -> None:
    async with loopback(reply) as server:
        http = client(server.url, **bounds)
        with pytest.raises(kind):
            async with forward(http, REQUEST, "b") as response:
                async for _ in response.body:
                    pass
        await http.aclose()


@pytest.mark.parametrize("path", ["", "v1/x", "http://evil/x", "/a b", "/a\r\nX: y", "/\u00e9", "/a#b"])
async def test_paths_that_are_none(path: str) -> None:
    http = client("http://127.0.0.1:9")
    with pytest.raises(AdapterRequestError):
        async with forward(http, ForwardRequest("GET", path), "b"):
            pass
    await http.aclose()


@pytest.mark.parametrize("path", ["//evil/x", "/..//@evil/x", "/%2e%2e/x"])
async def test_no_path_leads_to_another_server(path: str) -> None:
    async with loopback(lambda _: json_reply({})) as server:
        http = client(server.url)
        async with forward(http, ForwardRequest("GET", path), "b"):
            pass
        await http.aclose()
    assert len(server.requests) == 1


async def test_through_the_adapters() -> None:
    body = json.dumps({"model": "public", "stream": True}).encode()
    async with studio() as (state, server):
        state.load("m", "m:2")
        adapter = make(server, look_seconds=0)
        await adapter.start()
        async with adapter.forward(ForwardRequest("POST", CHAT, body=body)) as response:
            assert b'"content": "m:2"' in b"".join([piece async for piece in response.body])
        state.instances.clear()
        with pytest.raises(AdapterError, match="no longer loaded"):
            async with adapter.forward(ForwardRequest("POST", CHAT, body=body)):
                pass
        await adapter.shutdown()
    assert OpenAIAdapter.is_local is False


# ---- what became of the instance ----

CHATTED = ForwardRequest("POST", CHAT, body=b'{"model":"m"}')
NOT_FOUND = {"error": {"type": "model_not_found", "message": "Model m not found"}}


async def passed(adapter: LMStudioAdapter) -> tuple[int, bytes]:
    """Pass one chat on; return the answer."""
    async with adapter.forward(CHATTED) as response:
        return response.status, b"".join([piece async for piece in response.body])


async def test_a_look_at_the_list_holds_for_a_while_and_serves_all_who_wait() -> None:
    async with studio() as (_, server):
        adapter = make(server)
        await adapter.start()
        looks = sum(request.path == LIST for request in server.requests)
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(passed, adapter)
        assert sum(request.path == CHAT for request in server.requests) == 10
        assert sum(request.path == LIST for request in server.requests) == looks, "the start has just looked"
        await adapter.shutdown()


async def test_a_refusal_because_the_model_is_gone_is_an_eviction() -> None:
    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()
        state.instances.clear()
        state.said[CHAT] = [json_reply(NOT_FOUND, 404)]
        with pytest.raises(ModelEvictedError):
            await passed(adapter)
        await adapter.shutdown()


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_refusal_by_a_server_that_has_the_model_is_its_answer(status: int) -> None:
    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()
        state.said[CHAT] = [json_reply(NOT_FOUND, status)]
        assert await passed(adapter) == (status, json.dumps(NOT_FOUND).encode())
        await adapter.shutdown()


async def test_an_answer_that_breaks_because_the_model_is_gone_is_an_eviction() -> None:
    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()
        state.said[CHAT] = [Reply([b"data: 1\n\n"], then="reset")]
        async with trio.open_nursery():
            with pytest.raises(ModelEvictedError):
                async with adapter.forward(CHATTED) as response:
                    async for _ in response.body:
                        state.instances.clear()
        await adapter.shutdown()


async def test_f08_a_refusal_whose_body_breaks_off_keeps_its_status() -> None:
    async with studio() as (state, server):
        adapter = make(server)
        await adapter.start()
        head = {"Content-Type": "application/json", "Retry-After": "7"}
        state.said[CHAT] = [Reply([b'{"error":'], 429, head, then="reset")]
        request = ForwardRequest("POST", CHAT, (), b'{"model":"m"}')
        async with adapter.forward(request) as response:
            assert (response.status, dict(response.headers)["retry-after"]) == (429, "7")
            pieces = aiter(response.body)
            assert await anext(pieces) == b'{"error":'
            with pytest.raises(AdapterConnectError):
                await anext(pieces)
        await adapter.shutdown()
