"""What servers do that no protocol says: lines without frames, placeholders for arguments, waits told in the body, numbers for text."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import trio.testing

from adapters.http.errors import adapter_error
from statemachine import AdapterProtocolError, StreamEvent, TruncatedStreamError

from .scripted import DONE, USAGE, Scripted, ask, chunk
from .test_faults_answers import assembled, calls_of, piece

NDJSON = "application/x-ndjson"
CITY = '{"city":"Rome"}'


def line(text: str) -> str:
    """A chunk as a line of its own."""
    return text.removeprefix("data: ").rstrip("\n") + "\n"


HELLO = [line(chunk({"content": text})) for text in ("Hel", "lo")]
STOP = line(chunk({}, "stop", usage=USAGE))


@pytest.mark.parametrize("kind", [NDJSON, "application/json", "text/event-stream", ""])
async def test_a_chunk_a_line_without_frames_is_a_stream(kind: str, autojump_clock: trio.testing.MockClock) -> None:
    app = Scripted(*HELLO, "\n", STOP, "[DONE]\n", kind=kind)
    assert await ask(app) == [
        StreamEvent("token", "Hel"),
        StreamEvent("token", "lo"),
        StreamEvent("metadata", {"usage": USAGE}),
        StreamEvent("end", "stop"),
    ]


async def test_lines_are_told_when_they_come(autojump_clock: trio.testing.MockClock) -> None:
    events = await ask(Scripted(*HELLO, kind=NDJSON, then="silence"), read_timeout=5)
    assert [event.data for event in events[:-1]] == ["Hel", "lo"]


async def test_lines_that_stop_are_cut_off(autojump_clock: trio.testing.MockClock) -> None:
    for pieces in (HELLO, HELLO[:1], [HELLO[0].rstrip()]):
        events = await ask(Scripted(*pieces, kind=NDJSON))
        assert isinstance(events[-1].data, TruncatedStreamError), pieces


async def test_an_error_among_lines_is_an_error(autojump_clock: trio.testing.MockClock) -> None:
    events = await ask(Scripted(HELLO[0], '{"error": {"message": "out of memory", "code": 500}}\n', kind=NDJSON))
    assert "out of memory" in str(events[-1].data)
    events = await ask(Scripted(HELLO[0], "<html>\n", STOP, kind=NDJSON))
    assert isinstance(events[-1].data, AdapterProtocolError)


@pytest.mark.parametrize("indent", [None, 2])
async def test_a_whole_answer_of_one_or_several_lines_is_whole(
    indent: int | None, autojump_clock: trio.testing.MockClock
) -> None:
    message = {"role": "assistant", "content": "Hello"}
    body = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    events = await ask(Scripted(json.dumps(body, indent=indent) + "\n", kind=NDJSON))
    assert events == [StreamEvent("token", "Hello"), StreamEvent("end", "stop")]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        # the empty object, then the arguments: with and without the id and the name again
        ([piece("{}", index=0, id="a", name="f"), piece(CITY, index=0)], [("a", "f", CITY)]),
        ([piece("{}", index=0, id="a", name="f"), piece(CITY, index=0, id="a", name="f")], [("a", "f", CITY)]),
        ([piece({}, index=0, id="a", name="f"), piece('{"city"', index=0), piece(':"Rome"}')], [("a", "f", CITY)]),
        ([piece("{ }", index=0, id="a", name="f"), piece("", index=0), piece(CITY, index=0)], [("a", "f", CITY)]),
        # several at once
        (
            [
                piece("{}", index=0, id="a", name="f"),
                piece("{}", index=1, id="b", name="g"),
                piece(CITY, index=1),
                piece(CITY, index=0),
            ],
            [("a", "f", CITY), ("b", "g", CITY)],
        ),
        # a call without arguments keeps its empty object
        ([piece("{}", index=0, id="a", name="f")], [("a", "f", "{}")]),
        (
            [piece("{}", index=0, id="a", name="f"), piece(CITY, index=1, id="b", name="f")],
            [("a", "f", "{}"), ("b", "f", CITY)],
        ),
        (
            [piece("{}", index=0, id="a", name="f"), piece(CITY, index=0, id="b", name="f")],
            [("a", "f", "{}"), ("b", "f", CITY)],
        ),
        (
            [piece("{}", index=0, name="f"), piece(CITY, index=0, name="g")],
            [(None, "f", "{}"), (None, "g", CITY)],
        ),
        # an empty object inside of arguments is no placeholder
        (
            [piece('{"a":', index=0, id="a", name="f"), piece("{}", index=0), piece("}", index=0)],
            [("a", "f", '{"a":{}}')],
        ),
    ],
)
async def test_an_empty_object_may_stand_for_arguments_that_follow(
    pieces: list[dict[str, Any]], calls: list[tuple[str, str, str]], autojump_clock: trio.testing.MockClock
) -> None:
    events = await ask(Scripted(*calls_of(*pieces)))
    assert events[-1] == StreamEvent("end", "tool_calls")
    assert assembled(events) == calls


async def test_a_number_is_no_text(autojump_clock: trio.testing.MockClock) -> None:
    """``007`` and ``1.50`` can't be told from 7 and 1.5 any more: better no answer than another one."""
    for content in (7, 1.5, True):
        events = await ask(Scripted(chunk({"content": content}), chunk({}, "stop"), DONE))
        assert isinstance(events[-1].data, AdapterProtocolError), content


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"message": "slow down", "retry_after": 7}}, 7),
        ({"error": "slow down", "retry_after": "7.5"}, 7.5),
        ({"error": {"message": "slow down", "retry_after_ms": 1500}}, 1.5),
        ({"error": {"message": "slow down", "metadata": {"retryAfter": 3}}}, 3),
        ({"error": {"code": 429, "details": [{"@type": "help"}, {"@type": "RetryInfo", "retryDelay": "34s"}]}}, 34),
        ({"error": {"message": "slow down", "retry_after": 1e9}}, 86_400),
        ({"error": {"message": "slow down", "retry_after": -1}}, None),
        ({"error": {"message": "slow down", "retry_after": True}}, None),
        ({"error": {"message": "slow down", "retry_after": "soon"}}, None),
        ({"error": {"message": "slow down", "details": "retry_after: 7"}}, None),
    ],
)
def test_a_body_may_say_how_long_to_wait(body: Any, seconds: float | None) -> None:
    assert adapter_error(429, body, server="s").retry_after == seconds
    assert adapter_error(429, body, server="s", headers={"Retry-After": "2"}).retry_after == 2


def test_certificates_are_read_only_where_a_server_is_asked_with_tls() -> None:
    """Reading them holds up the event loop, for tenths of a second on a busy machine. In a process of its own: they are read once."""
    program = """
import ssl

from adapters import LMStudioAdapter, OpenAIAdapter
from statemachine import AdapterConfig

def read(*given, **more):
    raise SystemExit("certificates are read")

ssl.SSLContext.load_verify_locations = ssl.SSLContext.load_default_certs = read
LMStudioAdapter(AdapterConfig("p", "m", {"base_url": "http://127.0.0.1:1234"}))
OpenAIAdapter(AdapterConfig("p", "m", {"base_url": "http://127.0.0.1:1234/v1"}))
print("not yet")
OpenAIAdapter(AdapterConfig("p", "m", {}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("not yet\n", "certificates are read\n", 1)
