"""The loop of every call: what is asked, what a reader is given, when it is closed, and when the call gives up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import trio
import trio.testing
from starlette.types import Receive, Scope, Send

from adapters.http import Bounds, HttpClient, HttpRequest, LineTooLongError, stream_answer
from simulation.mock.transport import StreamingTransport
from statemachine import AdapterError, StreamEvent

SECRET = "one-calls-own-secret"


class Reader:
    """Tells each piece as a token, and notes what it is given. ``!`` closes it, ``_`` makes no event.

    ``#`` is a line that is too long; ``!#`` closes it before such a line.
    """

    def __init__(self) -> None:
        self.closed = False
        self.given: list[object] = []

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
        self.given.append(piece)
        if piece == b"#":
            raise LineTooLongError("a line of more than 1 bytes")
        self.closed = piece[:1] == b"!"
        if piece != b"_":
            yield StreamEvent("end" if self.closed else "token", piece.decode())
        if piece == b"!#":
            raise LineTooLongError("a line of more than 1 bytes")

    def finish(self) -> Iterator[StreamEvent]:
        self.given.append(None)
        self.closed = True
        yield StreamEvent("end", "of the body")

    def fail(self, error: AdapterError) -> Iterator[StreamEvent]:
        self.given.append(str(error))
        self.closed = True
        yield StreamEvent("error", error)


class App:
    """``then``: "end" of the body, "cut", or "silence"."""

    def __init__(
        self, *pieces: bytes, status: int = 200, pause: float = 0, seconds: float = 0, then: str = "end"
    ) -> None:
        self.pieces, self.status, self.pause, self.seconds, self.then = pieces, status, pause, seconds, then
        self.asked: tuple[str, str, dict[str, str], bytes] | None = None
        self.finished = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        assert len(headers) == len(scope["headers"])
        self.asked = scope["method"], scope["path"], headers, (await receive())["body"]
        await trio.sleep(self.seconds)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        for piece in self.pieces:
            await trio.sleep(self.pause)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if self.then == "end":
            await trio.sleep(self.pause)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            self.finished = True
        elif self.then == "silence":
            await receive()


async def call(app: App, **bounds: Any) -> tuple[list[tuple[str, Any]], list[object], float]:
    """The events, what the reader was given, and when it was over, in seconds."""
    began, reader = trio.current_time(), Reader()
    async with StreamingTransport(app) as transport:
        http = HttpClient("http://host", bounds=Bounds(**bounds), transport=transport)
        request = HttpRequest("/p", {"a": 1}, {"X-Key": SECRET, "content-type": "own"})
        events = [event async for event in stream_answer(http, request, reader)]
        seconds = trio.current_time() - began
        await trio.testing.wait_all_tasks_blocked()
        await http.aclose()
    shown = [
        (type(e.data).__name__, str(e.data)) if isinstance(e.data, AdapterError) else (e.type, e.data) for e in events
    ]
    return shown, reader.given, seconds


async def test_what_is_asked(autojump_clock: trio.testing.MockClock) -> None:
    app = App(b"!")
    await call(app)
    assert app.asked is not None
    method, path, headers, body = app.asked
    assert (method, path, body) == ("POST", "/p", b'{"a": 1}')
    assert (headers["x-key"], headers["content-length"]) == (SECRET, "8")
    assert headers["content-type"] == "application/json"


def test_a_request_stays_as_it_is_and_is_not_shown() -> None:
    request = HttpRequest("/p", {"a": 1}, {"X-Key": SECRET})
    assert SECRET not in repr(request)
    with pytest.raises(FrozenInstanceError):
        request.path = "/q"  # type: ignore[misc]


async def test_pieces_go_to_the_reader_until_it_closes(autojump_clock: trio.testing.MockClock) -> None:
    ended = [("token", "a"), ("token", "b"), ("end", "of the body")]
    assert await call(App(b"a", b"b")) == (ended, [b"a", b"b", None], 0)
    assert (await call(App(b"a", b"!", b"b")))[:2] == ([("token", "a"), ("end", "!")], [b"a", b"!"])
    assert (await call(App()))[:2] == ([("end", "of the body")], [None])


async def test_an_answer_that_is_complete_may_end_by_itself_for_a_moment(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for pause, finished, seconds in ((0.1, True, 0.2), (0.3, False, 0.55)):
        app = App(b"!", pause=pause)
        assert (await call(app))[2] == pytest.approx(seconds)
        assert app.finished is finished
    app = App(b"a", b"#", pause=0.1)
    assert (await call(app))[2] == pytest.approx(0.2)
    assert not app.finished


async def test_what_fails_is_given_to_the_reader(autojump_clock: trio.testing.MockClock) -> None:
    for app, last in (
        (App(b"a", b"#", b"b"), ("AdapterProtocolError", "http://host: a line of more than 1 bytes")),
        (App(b"a", then="cut"), ("AdapterConnectError", "http://host: RemoteProtocolError")),
    ):
        events, given, _ = await call(app)
        assert events == [("token", "a"), last]
        assert given[-1] == last[1]


async def test_nothing_is_given_to_a_reader_that_has_closed(autojump_clock: trio.testing.MockClock) -> None:
    assert (await call(App(b"!", then="cut")))[:2] == ([("end", "!")], [b"!"])
    assert (await call(App(b"!", then="silence")))[:2] == ([("end", "!")], [b"!"])
    assert (await call(App(b"!#")))[:2] == ([("end", "!#")], [b"!#"])


@pytest.mark.parametrize(
    ("status", "kind"),
    [(300, "AdapterProtocolError"), (400, "AdapterRequestError"), (503, "AdapterBusyError")],
)
async def test_a_status_that_is_no_success(status: int, kind: str, autojump_clock: trio.testing.MockClock) -> None:
    expected = (kind, f"http://host: m *** (status {status})")
    events, given, _ = await call(App(f'{{"error": "m {SECRET}"}}'.encode(), status=status))
    assert (events, given) == ([expected], [expected[1]])


async def test_every_status_of_a_success(autojump_clock: trio.testing.MockClock) -> None:
    for status in (200, 299):
        assert (await call(App(b"!", status=status)))[0] == [("end", "!")]


async def test_how_long_a_call_waits(autojump_clock: trio.testing.MockClock) -> None:
    first, between = "http://host: nothing came for 10 s", "http://host: nothing came for 3 s"
    whole = "http://host: the call takes longer than it may"
    bounds = {"first_event_timeout": 10, "read_timeout": 3, "call_timeout": 20}
    for app, text, seconds in (
        (App(seconds=11), first, 10),
        (App(then="silence"), first, 10),
        (App(b"_", b"_", b"_", pause=4), first, 10),  # what makes no event is no sign of life
        (App(b"a", b"b", seconds=9, pause=0.5, then="silence"), between, 13),
        (App(b"a", b"_", b"_", pause=2, then="silence"), between, 5),
        (App(*[b"a"] * 20, pause=2), whole, 20),
    ):
        events, _, waited = await call(app, **bounds)
        assert events[-1] == ("AdapterTimeoutError", text)
        assert waited == pytest.approx(seconds)
    events, _, waited = await call(App(b"x", status=500, pause=11), **bounds)  # the status has said it
    assert events == [("AdapterError", "http://host: an error without a message (status 500)")]
    assert waited == pytest.approx(10)
    assert (await call(App(*[b"a"] * 6, pause=2.8), **bounds))[0][-1] == ("end", "of the body")


async def test_what_the_reader_of_events_takes_for_itself_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reader = Reader()
    async with StreamingTransport(App(b"a", b"b", b"!")) as transport:
        http = HttpClient("http://host", bounds=Bounds(first_event_timeout=1, read_timeout=1), transport=transport)
        events = []
        async for event in stream_answer(http, HttpRequest("/p", {}, {}), reader):
            events.append(event.type)
            await trio.sleep(5)
        await http.aclose()
    assert events == ["token", "token", "end"]


def test_what_is_secret_of_a_request_and_what_it_shows() -> None:
    request = HttpRequest("/p", {"a": SECRET}, {"A": f"Bearer {SECRET}", "B": "short"})
    assert request.secrets == [SECRET]
    assert SECRET not in repr(request)
