"""What a client sees while it waits, and what is left when it goes."""

from __future__ import annotations

import gc
import json
import math

import httpx
import pytest
import trio

from statemachine import RuntimeProviderConfig

from .served import GEMMA, QWEN, served, until

CHAT = "/v1/chat/completions"


def body(model: str, *, stream: bool = True) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": stream, "max_tokens": 5}


async def posted(url: str, content: bytes, length: int | None = None) -> trio.SocketStream:
    """Send a chat request over a socket of its own; ``length`` is what it claims to be long."""
    host, _, port = url.removeprefix("http://").partition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length or len(content)}\r\n\r\n"
    await stream.send_all(head.encode() + content)
    return stream


async def test_comments_say_why_and_the_answer_follows() -> None:
    async with served(comment_seconds=0.05) as here, httpx.AsyncClient(base_url=here.url, timeout=20) as client:
        lease = await here.gateway.manager.get_adapter(RuntimeProviderConfig("studio", GEMMA))
        async with client.stream("POST", CHAT, json=body(QWEN)) as response:
            assert response.status_code == 200
            lines = response.aiter_lines()
            first = await anext(lines)
            assert first == ": queued, position 1 of 1, oldest first needs qwen"
            lease.release()
            rest = [line async for line in lines]
        assert "data: [DONE]" in rest
        assert any(line.startswith(": loading qwen") for line in rest) or len(rest) > 2


async def test_a_refusal_after_comments_is_told_in_the_stream() -> None:
    manager = {"acquire_timeout": 0.3}
    async with served(comment_seconds=0.05, manager=manager) as here, httpx.AsyncClient(base_url=here.url) as client:
        async with here.gateway.manager.acquire(RuntimeProviderConfig("studio", GEMMA), timeout=math.inf):
            response = await client.post(CHAT, json=body(QWEN), timeout=20)
        assert response.status_code == 200
        frames = [line for line in response.text.splitlines() if line.startswith("data: ")]
        assert json.loads(frames[-1].removeprefix("data: "))["error"]["code"] == "queue_timeout"


async def test_a_refusal_before_comments_has_its_status() -> None:
    manager = {"acquire_timeout": 0.05}
    async with served(manager=manager) as here, httpx.AsyncClient(base_url=here.url) as client:
        async with here.gateway.manager.acquire(RuntimeProviderConfig("studio", GEMMA), timeout=math.inf):
            response = await client.post(CHAT, json=body(QWEN), timeout=20)
        assert response.status_code == 503
        assert response.headers["retry-after"]


async def test_comments_can_be_switched_off_and_whole_answers_have_none() -> None:
    async with served(comment_seconds=False) as here, httpx.AsyncClient(base_url=here.url) as client:
        response = await client.post(CHAT, json=body(GEMMA), timeout=20)
        assert not any(line.startswith(":") for line in response.text.splitlines())
    async with served(comment_seconds=0.01) as here, httpx.AsyncClient(base_url=here.url) as client:
        response = await client.post(CHAT, json=body(GEMMA, stream=False), timeout=20)
        assert response.json()["choices"]


async def test_a_client_that_goes_leaves_the_queue() -> None:
    async with served() as here, httpx.AsyncClient(base_url=here.url) as client:
        async with here.gateway.manager.acquire(RuntimeProviderConfig("studio", GEMMA), timeout=math.inf):
            with trio.move_on_after(10):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.post, CHAT)
                    nursery.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: client.post(CHAT, json=body(QWEN), timeout=20))
                await until(lambda: len(here.gateway.waiting) == 1)
                nursery.cancel_scope.cancel()
            await until(lambda: len(here.gateway.waiting) == 0)
        await until(lambda: here.gateway.requests.count == 0)


async def test_a_client_that_goes_in_mid_answer_frees_the_slot() -> None:
    async with served() as here:
        async with await posted(here.url, json.dumps({**body(GEMMA), "max_tokens": 100_000}).encode()) as stream:
            assert b" 200 " in await stream.receive_some(4096)
            assert here.gateway.requests.count == 1
        await until(lambda: here.gateway.requests.count == 0)
        slot = here.gateway.manager.statistics().slots["local"]
        assert (slot.state, slot.leases) == ("resident", 0)


async def test_an_agent_may_not_fill_the_queue() -> None:
    async with served(waiting_per_agent=1) as here, httpx.AsyncClient(base_url=here.url) as client:
        async with here.gateway.manager.acquire(RuntimeProviderConfig("studio", GEMMA), timeout=math.inf):
            async with trio.open_nursery() as nursery:
                headers = {"X-Agent-ID": "greedy"}
                nursery.start_soon(lambda: client.post(CHAT, json=body(QWEN), headers=headers, timeout=20))
                await until(lambda: len(here.gateway.waiting) == 1)
                response = await client.post(CHAT, json=body(QWEN), headers=headers)
                assert response.status_code == 429
                assert response.json()["error"]["code"] == "queue_full"
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"\xff", 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"model": 3}', 400, "missing_model"),
        (b'{"messages": []}', 400, "missing_model"),
    ],
    ids=["empty", "list", "cut", "bytes", "deep", "number", "none"],
)
async def test_a_bad_body_is_refused(content: bytes, status: int, code: str) -> None:
    async with served(body_limit_mib=1) as here, httpx.AsyncClient(base_url=here.url) as client:
        response = await client.post(CHAT, content=content)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with served(body_limit_mib=1) as here:
        async with await posted(here.url, b"x" * (1 << 20) + b"x") as stream:
            assert b" 413 " in await stream.receive_some(4096)


async def test_the_bodies_of_all_requests_have_a_bound_and_what_has_ended_counts_no_more() -> None:
    async with served(body_limit_mib=1, bodies_limit_mib=1) as here, httpx.AsyncClient(base_url=here.url) as client:
        content = b"x" * 900_000
        async with await posted(here.url, content, length=1_000_000):
            await until(lambda: here.gateway.held_bytes == len(content))
            refused = await client.post(CHAT, content=content)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_bytes")
            assert refused.headers["retry-after"]
            assert (await client.post("/control/load", content=content)).status_code == 503
            assert (await client.post(CHAT, json=body(GEMMA))).status_code == 200
        await until(lambda: here.gateway.held_bytes == 0)
        assert (await client.post(CHAT, content=content)).status_code == 400


async def test_too_many_connections_are_refused_in_the_dialect_of_the_path() -> None:
    async with served(connections_limit=1) as here, await posted(here.url, b"{", length=9) as first:
        await until(lambda: here.gateway.requests.count == 1)
        for path, member in ((CHAT, "code"), ("/v1/messages", "type"), ("/status", "code")):
            async with httpx.AsyncClient(base_url=here.url) as client:
                refused = await client.post(path, json=body(GEMMA))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"][member] in ("too_many_connections", "overloaded_error")
        async with httpx.AsyncClient(base_url=here.url) as client:
            assert (await client.get("/healthz")).status_code == 200, "a busy process is not a dead one"
        await first.aclose()


async def test_a_slow_sender_is_refused() -> None:
    async with served(sender_seconds=0.05) as here:
        async with await posted(here.url, b"{", length=100) as stream:
            assert b" 408 " in await stream.receive_some(4096)


async def test_draining_refuses_new_requests_and_lets_others_end() -> None:
    async with served() as here, httpx.AsyncClient(base_url=here.url, timeout=20) as client:
        async with client.stream("POST", CHAT, json={**body(GEMMA), "max_tokens": 500}) as response:
            lines = response.aiter_lines()
            await anext(lines)
            here.gateway.draining.set()
            refused = await client.post(CHAT, json=body(GEMMA))
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "closing")
            assert (await client.get("/readyz")).status_code == 503
            assert "data: [DONE]" in [line async for line in lines]
        await here.gateway.requests.none.wait()
        assert (await client.get("/safe-to-stop")).status_code == 200


async def test_a_status_page_that_is_left_leaves_nothing_behind() -> None:
    async with served() as here:
        for _ in range(20):
            async with await trio.open_tcp_stream("127.0.0.1", int(here.url.rpartition(":")[2])) as stream:
                await stream.send_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"data: " in await stream.receive_some()
        await here.gateway.pages.none.wait()
        gc.collect()  # what is left to it is told as an error


async def test_the_picture_of_the_status_page_ends_when_the_gateway_has_drained() -> None:
    async with served() as here, httpx.AsyncClient(base_url=here.url, timeout=20) as client:
        async with client.stream("GET", "/events") as response:
            lines = response.aiter_lines()
            await anext(lines)
            assert here.gateway.pages.count == 1
            here.gateway.draining.set()
            async for _ in lines:
                pass
        await here.gateway.pages.none.wait()
