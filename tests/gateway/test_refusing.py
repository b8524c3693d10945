"""What the gateway refuses, and what it never passes on: over raw sockets, before a server that writes down what reaches it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from adapters.gateway.serve import listening, open_gateway
from adapters.gateway.settings import settings_of
from adapters.gateway.unloading import unload_idle
from simulation.mock.ollama.server import MockOllama
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile

from .served import GEMMA, MODELS, QWEN, served

CHAT = "/v1/chat/completions"
BODY = json.dumps({"model": "m", "messages": []}).encode()


class Scribe:
    """An OpenAI-compatible server that keeps the head of every request, and answers with ``status``, ``headers`` and ``{}``.

    ``length`` is what it claims this to be long.
    """

    def __init__(self, status: int = 200, *headers: bytes, length: int = 2) -> None:
        self.heads: list[bytes] = []
        self._answer = b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n%s\r\n{}" % (
            status,
            length,
            b"".join(h + b"\r\n" for h in headers),
        )

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            said = b""
            while b"\r\n\r\n" not in said:
                piece = await stream.receive_some(65536)
                if not piece:
                    return
                said += piece
            self.heads.append(said)
            await stream.send_all(self._answer)


@asynccontextmanager
async def before(scribe: Scribe) -> AsyncIterator[str]:
    """Run a gateway before ``scribe``; the block gets the gateway's URL."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, scribe.serve, listeners)
        provider = {"kind": "openai", "base_url": f"http://127.0.0.1:{port}", "models": ["m"], "key_env": "KEY"}
        settings = settings_of({"gateway": {"port": 0}, "providers": {"one": provider}}, {"KEY": "the-servers-key"})
        async with open_gateway(settings) as gateway, listening(gateway) as url:
            yield url
        nursery.cancel_scope.cancel()


async def said_to(url: str, request: bytes) -> bytes:
    """Send bytes as they are; return what comes back: one answer, at most five seconds long."""
    host, _, port = url.removeprefix("http://").partition(":")
    answer = b""
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(request)
        with trio.move_on_after(5):
            async for piece in stream:
                answer += piece
                if answer.endswith(b"0\r\n\r\n"):  # the end of a chunked answer
                    break
    return answer


def post(headers: bytes, body: bytes = BODY, path: str = CHAT) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n%s" % (path.encode(), headers, body)


LENGTH = b"Content-Length: %d\r\n" % len(BODY)


async def test_hop_by_hop_headers_and_credentials_stay_here() -> None:
    scribe = Scribe()
    headers = (
        LENGTH
        + b"Authorization: Bearer clients\r\nX-Api-Key: clients\r\nCookie: a=clients\r\nTE: trailers\r\nX-Kept: yes\r\n"
    )
    async with before(scribe) as url:
        assert b" 200 " in await said_to(url, post(headers))
    (head,) = scribe.heads
    assert b"clients" not in head
    assert b"trailers" not in head.lower()
    assert b"x-kept: yes" in head.lower()
    assert b"the-servers-key" in head
    assert head.lower().count(b"content-length") == 1


@pytest.mark.parametrize(
    "headers",
    [
        LENGTH + b"Transfer-Encoding: chunked\r\n",
        LENGTH + b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1e1\r\n",
        LENGTH + b" folded: yes\r\nX: \r\n",
        LENGTH + b"X-Name : space\r\n",
        LENGTH + b"X: a\x00b\r\n",
        LENGTH + b"X: " + b"x" * 100_000 + b"\r\n",
    ],
    ids=["both", "two-lengths", "codings", "odd-coding", "negative", "exponent", "folded", "blank", "nul", "long"],
)
async def test_what_two_readers_could_read_in_two_ways_reaches_no_server_twice(headers: bytes) -> None:
    """A second request inside the body of the first must never be seen by the server as one."""
    scribe = Scribe()
    smuggled = b"0\r\n\r\nPOST /v1/admin HTTP/1.1\r\nHost: x\r\n\r\n"
    async with before(scribe) as url:
        await said_to(url, post(headers, BODY + smuggled))
    assert len(scribe.heads) <= 1
    for head in scribe.heads:
        assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
        assert b"transfer-encoding" not in head.lower()


@pytest.mark.parametrize(
    "body",
    [
        '{"model": "m", "messages": []}'.encode("utf-16"),
        '{"model": "m", "messages": []}'.encode("utf-32-le"),
        b'{"model": "m", "messages": ["\xff"]}',
        b'{"model": "m", "messages": ' + b"[" * 200 + b"]" * 200 + b"}",
    ],
    ids=["utf-16", "utf-32", "no-text", "deep"],
)
async def test_a_body_in_which_the_models_name_could_not_be_replaced_is_refused(body: bytes) -> None:
    scribe = Scribe()
    async with before(scribe) as url:
        assert b" 400 " in await said_to(url, post(b"Content-Length: %d\r\n" % len(body), body))
    assert scribe.heads == []


async def test_a_header_value_goes_on_byte_by_byte() -> None:
    scribe, value = Scribe(), "J\u00fcrgen \u4e2d".encode() + b" \xff"
    async with before(scribe) as url:
        assert b" 200 " in await said_to(url, post(LENGTH + b"X-Name: %s\r\n" % value))
    assert b"x-name: %s\r\n" % value in scribe.heads[0]


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    scribe = Scribe(307, b"Location: http://127.0.0.1:1/elsewhere")
    async with before(scribe) as url:
        answer = await said_to(url, post(LENGTH))
    assert b" 307 " in answer
    assert len(scribe.heads) == 1


@pytest.mark.parametrize(
    ("kind", "told"),
    [(b"application/json", False), (b"text/event-stream; charset=utf-8", True), (b"Text/Event-Stream", True)],
)
async def test_an_answer_that_breaks_off_has_no_proper_end_unless_the_stream_says_so(kind: bytes, told: bool) -> None:
    scribe = Scribe(200, b"Content-Type: " + kind, length=100)
    async with before(scribe) as url:
        answer = await said_to(url, post(LENGTH))
        again = await said_to(url, post(LENGTH).replace(b"Connection: close\r\n", b""))
    for said in (answer, again):
        assert b"\r\n2\r\n{}\r\n" in said
        assert (b"backend_unreachable" in said) == told
        assert said.endswith(b"\r\n0\r\n\r\n") == told, "without it, a client knows that this is not all"


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions/../admin", "/v1/admin", "/api/pull", "/api/delete", "//v1/chat/completions", "/v1/%2e%2e/x"],
)
async def test_paths_outside_the_table_are_not_forwarded(path: str) -> None:
    scribe = Scribe()
    async with before(scribe) as url:
        assert b" 404 " in await said_to(url, post(LENGTH, path=path))
    assert scribe.heads == []


async def test_a_path_is_forwarded_as_in_the_table_and_with_its_query() -> None:
    scribe = Scribe()
    async with before(scribe) as url:
        await said_to(url, post(LENGTH, path=f"/agent/ann/priority/1{CHAT}?beta=true"))
    assert scribe.heads[0].startswith(b"POST /v1/chat/completions?beta=true HTTP/1.1\r\n")


async def test_a_load_by_lm_studios_path_is_a_lease_and_an_unload_is_refused() -> None:
    async with served() as here, httpx.AsyncClient(base_url=here.url, timeout=20) as client:
        loaded = await client.post("/api/v1/models/load", json={"model": QWEN})
        assert (loaded.status_code, loaded.json()["status"]) == (200, "loaded")
        assert [instance.model.key for instance in here.server.loaded] == [QWEN]
        refused = await client.post("/api/v1/models/load", json={"model": QWEN, "context_length": 5})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "load_options_refused")
        unload = await client.post("/api/v1/models/unload", json={"instance_id": QWEN})
        assert (unload.status_code, unload.json()["error"]["code"]) == (403, "unload_refused")
        assert here.server.loaded


async def test_ollamas_show_and_empty_generate() -> None:
    server = MockOllama(MODELS, LatencyProfile(jitter=0))
    async with serve(server, port=0) as base_url:
        settings = settings_of(
            {"gateway": {"port": 0}, "providers": {"o": {"kind": "ollama", "base_url": base_url}}}, {}
        )
        async with open_gateway(settings) as gateway, listening(gateway) as url:
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:
                name = (await client.get("/api/tags")).json()["models"][0]["name"]
                assert (await client.post("/api/show", json={"model": name})).json()["details"]
                assert gateway.manager.statistics().counters.starts == 0, "to describe a model loads none"
                loaded = await client.post("/api/generate", json={"model": name, "stream": False})
                assert (loaded.status_code, loaded.json()["done"]) == (200, True)
                assert gateway.manager.statistics().slots["local"].state == "resident"
                unload = await client.post("/api/generate", json={"model": name, "keep_alive": 0})
                assert unload.status_code == 403
                assert "other agents" in unload.json()["error"]


async def test_a_model_that_was_unloaded_from_outside_is_loaded_again_for_the_request() -> None:
    body = {"model": GEMMA, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
    async with served() as here, httpx.AsyncClient(base_url=here.url, timeout=20) as client:
        assert (await client.post(CHAT, json=body)).status_code == 200
        for instance in here.server.loaded:
            await here.server.unload(instance)
        assert (await client.post(CHAT, json=body)).status_code == 200
        assert here.server.counters.loads == 2


async def test_what_makes_ollama_load_again_is_the_instances_identity() -> None:
    server = MockOllama(MODELS, LatencyProfile(jitter=0))
    async with serve(server, port=0) as base_url:
        provider = {"kind": "ollama", "base_url": base_url, "options": {"num_ctx": 2048}}
        settings = settings_of({"gateway": {"port": 0}, "providers": {"o": provider}}, {})
        async with open_gateway(settings) as gateway, listening(gateway) as url:
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:

                async def chat(**options: object) -> httpx.Response:
                    body = {"model": GEMMA, "messages": [{"role": "user", "content": "hello"}], "stream": False}
                    return await client.post("/api/chat", json={**body, "options": options})

                def loads() -> int:
                    return gateway.manager.statistics().counters.starts

                assert (await chat()).status_code == 200
                assert (await chat(temperature=0.1, num_ctx=2048)).status_code == 200
                assert loads() == 1, "it is what the provider is configured with"
                assert (await chat(num_ctx=4096)).status_code == 200
                assert loads() == 2, "the manager switches, and not the server under another agent's request"
                assert [runner.options["num_ctx"] for runner in server.runners.loaded.values()] == [4096]
                assert await unload_idle(gateway) == [GEMMA]
                assert loads() == 2, (
                    "what is loaded with options of its own is unloaded, and nothing is loaded for that"
                )
                assert (await chat()).status_code == 200
                assert [runner.options["num_ctx"] for runner in server.runners.loaded.values()] == [2048]
                refused = await chat(num_ctx="much")
                assert refused.status_code == 400
                assert "options.num_ctx" in refused.json()["error"]
                openai = await client.post(CHAT, json={"model": GEMMA, "messages": []})
                assert openai.status_code == 501
                assert "num_ctx" in openai.json()["error"]["message"]
        assert not server.runners.loaded
