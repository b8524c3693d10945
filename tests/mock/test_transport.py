"""The streaming transport, against small ASGI applications in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import trio
from starlette.types import Message, Receive, Send
from trio.testing import MockClock

from simulation.mock.transport import StreamingTransport

URL = "http://server/path"
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def piece(body: bytes, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


class Ticker:
    """Answers with ``count`` pieces, one per second, and notes what happens to it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.sent: list[float] = []
        self.disconnected_at: float | None = None
        self.ended = trio.Event()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            await receive()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, receive)
                await send(START)
                for number in range(self.count):
                    await trio.sleep(1)
                    await send(piece(b"%d" % number))
                    self.sent.append(trio.current_time())
                await send(piece(b"", more=False))
                nursery.cancel_scope.cancel()
        finally:
            self.ended.set()

    async def _watch(self, receive: Receive) -> None:
        assert await receive() == {"type": "http.disconnect"}
        self.disconnected_at = trio.current_time()


async def test_pieces_arrive_when_they_are_sent(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    arrivals = []
    async with (
        httpx.AsyncClient(transport=StreamingTransport(Ticker(3))) as client,
        client.stream("GET", URL) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/plain"
        assert trio.current_time() == began, "the head does not wait for the body"
        async for data in response.aiter_bytes():
            arrivals.append((data, trio.current_time() - began))
    assert arrivals == [(b"0", 1), (b"1", 2), (b"2", 3)]


async def test_the_application_waits_until_a_piece_is_taken(autojump_clock: MockClock) -> None:
    app = Ticker(2)
    async with httpx.AsyncClient(transport=StreamingTransport(app)) as client, client.stream("GET", URL) as response:
        await trio.sleep(10)
        assert app.sent == []
        assert await response.aread() == b"01"


async def test_the_application_sees_the_request() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        seen.update(scope, message=await receive())
        await send({**START, "status": 418})
        await send(piece(b"short and stout", more=False))

    async with httpx.AsyncClient(transport=StreamingTransport(app)) as client:
        response = await client.put("https://server:8443/a%20b?q=1", content=b"body", headers={"X-Name": "value"})
    assert (response.status_code, response.content) == (418, b"short and stout")
    assert seen["message"] == {"type": "http.request", "body": b"body", "more_body": False}
    assert (b"x-name", b"value") in seen["headers"]
    expected = {
        "type": "http",
        "method": "PUT",
        "scheme": "https",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"q=1",
        "server": ("server", 8443),
    }
    assert {name: seen[name] for name in expected} == expected


async def test_early_close_is_a_disconnect_and_ends_nothing_by_itself(autojump_clock: MockClock) -> None:
    app = Ticker(5)
    async with StreamingTransport(app) as transport, httpx.AsyncClient(transport=transport) as client:
        began = trio.current_time()
        async with client.stream("GET", URL) as response:
            with trio.CancelScope() as scope:
                async for _ in response.aiter_bytes():
                    scope.cancel()
        await app.ended.wait()
        assert app.disconnected_at == began + 1
        assert trio.current_time() == began + 5, "what it sends then goes nowhere, at once"


async def test_cancellation_in_mid_answer_is_a_disconnect(autojump_clock: MockClock) -> None:
    app = Ticker(5)
    async with StreamingTransport(app) as transport, httpx.AsyncClient(transport=transport) as client:
        began = trio.current_time()
        with trio.move_on_after(2.5):
            await client.get(URL)
        await trio.testing.wait_all_tasks_blocked()
        assert app.disconnected_at == began + 2.5


async def test_cancellation_before_the_head_is_a_disconnect(autojump_clock: MockClock) -> None:
    messages = []

    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        messages.extend([await receive(), await receive()])

    async with StreamingTransport(app) as transport, httpx.AsyncClient(transport=transport) as client:
        with trio.move_on_after(1):
            await client.get(URL)
        await trio.testing.wait_all_tasks_blocked()
        assert [message["type"] for message in messages] == ["http.request", "http.disconnect"]


async def test_a_complete_answer_is_a_disconnect_too() -> None:
    done = trio.Event()

    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(piece(b"all", more=False))
        assert await receive() == {"type": "http.disconnect"}
        done.set()

    async with StreamingTransport(app) as transport, httpx.AsyncClient(transport=transport) as client:
        await client.get(URL)
        await done.wait()


async def test_an_error_before_the_head_is_raised_by_the_request() -> None:
    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        raise LookupError("a bug")

    async with httpx.AsyncClient(transport=StreamingTransport(app)) as client:
        with pytest.raises(LookupError, match="a bug"):
            await client.get(URL)


async def test_an_error_after_the_head_is_raised_by_the_body() -> None:
    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await send(START)
        await send(piece(b"good so far"))
        raise LookupError("a bug")

    async with httpx.AsyncClient(transport=StreamingTransport(app)) as client, client.stream("GET", URL) as response:
        body = response.aiter_bytes()
        assert await anext(body) == b"good so far"
        with pytest.raises(LookupError, match="a bug"):
            await anext(body)


async def test_an_error_that_is_not_awaited_leaves_the_block() -> None:
    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await send(START)
        await receive()
        await receive()
        raise LookupError("a bug")

    async def leave_early() -> None:
        async with StreamingTransport(app) as transport, httpx.AsyncClient(transport=transport) as client:
            async with client.stream("GET", URL):
                pass
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await leave_early()
    assert caught.group_contains(LookupError, match="a bug")


async def test_an_unfinished_answer_is_a_cut_connection() -> None:
    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await send(START)
        await send(piece(b"half"))

    async with httpx.AsyncClient(transport=StreamingTransport(app)) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(URL)


async def test_no_answer_at_all_is_an_error() -> None:
    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await receive()

    async with httpx.AsyncClient(transport=StreamingTransport(app)) as client:
        with pytest.raises(RuntimeError, match="without an answer"):
            await client.get(URL)


async def test_the_read_timeout_bounds_each_silence(autojump_clock: MockClock) -> None:
    app = Ticker(3)
    async with StreamingTransport(app) as transport:
        async with httpx.AsyncClient(transport=transport, timeout=1.5) as patient:
            assert (await patient.get(URL)).content == b"012"
        began = trio.current_time()
        async with httpx.AsyncClient(transport=transport, timeout=0.5) as hasty:
            with pytest.raises(httpx.ReadTimeout):
                await hasty.get(URL)
        await trio.testing.wait_all_tasks_blocked()
        assert app.disconnected_at == began + 0.5


async def test_the_read_timeout_bounds_the_wait_for_the_head(autojump_clock: MockClock) -> None:
    async def app(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await trio.sleep(9)

    async with httpx.AsyncClient(transport=StreamingTransport(app)) as client:
        began = trio.current_time()
        with pytest.raises(httpx.ReadTimeout):
            await client.get(URL)
        assert trio.current_time() == began + 5, "httpx's default"


async def test_the_end_of_the_block_cancels_what_still_runs(autojump_clock: MockClock) -> None:
    app = Ticker(100)
    began = trio.current_time()

    async def fail() -> None:
        async with StreamingTransport(app) as transport, httpx.AsyncClient(transport=transport) as client:
            async with client.stream("GET", URL):
                pass
            raise KeyError("bare")

    with pytest.raises(KeyError, match="bare"):
        await fail()
    assert app.ended.is_set()
    assert trio.current_time() == began


async def test_a_reader_outside_the_block_is_told(autojump_clock: MockClock) -> None:
    async with StreamingTransport(Ticker(3)) as transport:
        response = await httpx.AsyncClient(transport=transport).send(httpx.Request("GET", URL), stream=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await response.aread()


async def test_clients_share_it_and_close_it_for_no_other(autojump_clock: MockClock) -> None:
    async with StreamingTransport(Ticker(2)) as transport, httpx.AsyncClient(transport=transport) as first:
        response = await first.send(first.build_request("GET", URL), stream=True)
        async with httpx.AsyncClient(transport=transport) as second:
            assert (await second.get(URL)).content == b"01"
        await httpx.AsyncClient(transport=transport).aclose()
        assert await response.aread() == b"01"


async def test_it_must_be_entered() -> None:
    with pytest.raises(RuntimeError, match="entered"):
        await httpx.AsyncClient(transport=StreamingTransport(Ticker(1))).get(URL)
