"""How a chat's answer closes: finish reasons, errors, signs of life, frames that make no sense, and bodies without frames."""

from __future__ import annotations

import pytest

from adapters.http import Bounds, ChatReader, HttpClient, HttpRequest
from adapters.http.lines import LineTooLongError

from .readers import (
    BOUND_BYTES,
    PROTOCOL,
    SECRET,
    SERVER,
    STOP,
    UNREADABLE,
    chunk,
    framed,
    told,
    whole,
)


@pytest.mark.parametrize(
    ("reason", "closing"),
    [
        ("stop", STOP),
        ("length", ("end", "length")),
        (" tool_calls ", ("end", "tool_calls")),
        ({"type": "stop", "matched": 1}, STOP),
        ("x" * 101, ("end", "x" * 100)),
        ("null".rjust(65), ("end", "null")),
        ("a\ud800", ("end", "a\ufffd")),
        ("model_unloaded", "ModelEvictedError"),
        ("ModelUnloaded", "ModelEvictedError"),
        ("insufficient_system_resource", "AdapterBusyError"),
        ("overloaded", "AdapterBusyError"),
        ("timeout", "AdapterTimeoutError"),
        ("time_out", "AdapterTimeoutError"),
        ("Timed_out", "AdapterTimeoutError"),
        ("timedout", "AdapterTimeoutError"),
        ("abort", "TruncatedStreamError"),
        ("cancelled", "TruncatedStreamError"),
        ("canceled", "TruncatedStreamError"),
        ("interrupted", "TruncatedStreamError"),
        ("preempted", "TruncatedStreamError"),
        ("error", "AdapterError"),
        ("network_failure", "AdapterError"),
        ("exception", "AdapterError"),
        ("MALFORMED_FUNCTION_CALL", "AdapterError"),
        ("crashed", "AdapterError"),
    ],
)  # fmt: skip
def test_finish_reasons(reason: object, closing: str | tuple[str, str]) -> None:
    if isinstance(closing, str):
        closing = closing, f"{SERVER}the server says that the answer ended in {reason}"
    assert told(ChatReader, framed(chunk({"content": "a"}), chunk({}, reason), "[DONE]")) == [("token", "a"), closing]
    given = {"choices": [{"message": {"content": "a"}, "finish_reason": reason}]}
    assert told(ChatReader, whole(given)) == [("token", "a"), closing]


def test_a_long_finish_reason_is_cut() -> None:
    _, shown = told(ChatReader, framed(chunk({}, "error" + "x" * 200)))[-1]
    assert shown == f"{SERVER}the server says that the answer ended in error{'x' * 94}\u2026"


@pytest.mark.parametrize(
    "reason",
    [None, "", "null", " None ", "NIL", "undefined", "null".rjust(64), False, 0, 7, [], ["stop"], {}, {"type": None}],
)
def test_finish_reasons_that_are_none(reason: object) -> None:
    cut = ("TruncatedStreamError", f"{SERVER}the stream stopped without its end")
    assert told(ChatReader, framed(chunk({"content": "a"}, reason))) == [("token", "a"), cut]
    assert told(ChatReader, framed(chunk({"content": "a"}, reason), "[DONE]")) == [("token", "a"), ("end", None)]


def test_the_first_finish_reason_stands_and_groq_has_it_elsewhere() -> None:
    assert told(ChatReader, framed(chunk({"content": "a"}, "tool_calls"), chunk({}, "stop")))[-1] == (
        "end",
        "tool_calls",
    )
    groq = {"choices": [], "x_groq": {"finish_reason": "length"}}
    assert told(ChatReader, framed(chunk({"content": "a"}), groq))[-1] == ("end", "length")
    reported = {"choices": [], "x_groq": {"error": "it broke"}}
    assert told(ChatReader, framed(chunk({"content": "a"}), reported))[-1] == ("AdapterError", f"{SERVER}it broke")
    assert told(ChatReader, framed({"choices": [], "x_groq": "x"}, chunk({"content": "a"}, "stop"))) == [
        ("token", "a"),
        STOP,
    ]


def test_an_error_beside_a_finish_reason_says_more() -> None:
    choice = {"delta": {}, "finish_reason": "error", "error": {"message": "it broke", "code": 502}}
    assert told(ChatReader, framed(chunk({"content": "a"}), {"choices": [choice]})) == [
        ("token", "a"),
        ("AdapterError", f"{SERVER}it broke"),
    ]
    choice["finish_reason"] = "stop"
    assert told(ChatReader, framed({"choices": [choice]})) == [("AdapterError", f"{SERVER}it broke")]
    choice["delta"] = {"error": "once more"}
    for last in ({"choices": [choice]}, {"choices": [choice], "usage": {"total_tokens": 1}}):
        assert told(ChatReader, framed(last)) == [("AdapterError", f"{SERVER}it broke")]


@pytest.mark.parametrize(
    "done", ["[DONE]", "[done]", "DONE", '"[DONE]"', " [DONE] ", "data: [DONE]", "data:data: [DONE]"]
)
def test_done_in_every_spelling(done: str) -> None:
    assert told(ChatReader, framed(chunk({"content": "a"}), done, chunk({"content": "b"}))) == [
        ("token", "a"),
        ("end", None),
    ]
    empty = [(PROTOCOL, f"{SERVER}the answer ended before it began")]
    assert told(ChatReader, framed(done)) == empty
    assert told(ChatReader, framed(chunk({"role": "assistant", "content": ""}), done)) == empty


@pytest.mark.parametrize("reason", ["tool_calls", "function_call", "tool_use"])
def test_an_answer_that_ends_with_tool_calls_has_some(reason: str) -> None:
    none = (PROTOCOL, UNREADABLE % "no tool call, though it ends with tool calls")
    assert told(ChatReader, framed(chunk({}, reason))) == [none]
    assert told(ChatReader, framed(chunk({"content": "a"}, reason))) == [("token", "a"), ("end", reason)]


def test_an_event_named_done_ends_the_answer() -> None:
    assert told(ChatReader, framed(chunk({"content": "a"})) + b"event: done\n\n") == [("token", "a"), ("end", None)]
    assert (
        told(ChatReader, framed(chunk({"content": "a"})) + b"event: done\ndata: {}\n\n")[-1][0]
        == "TruncatedStreamError"
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"data: null\n\n", b"data: {}\n\n", b"data:\n\n", b"data: true\n\n", b"data: false\n\n", b"data: []\n\n", b"data: 0\n\n",
        b"data: ping\n\n", b"data: PONG\n\n", b"data: heartbeat\n\n", b"data: heart-beat\n\n", b"data: keepalive\n\n",
        b"data: keep-alive\n\n", b"data: keep_alive\n\n", b"data: : x\n\n", b"event: ping\ndata: x\n\n", b"event: Keep-Alive\n\n",
        b"event: heart_beat\ndata: 7\n\n", b': ping\n\n', b'data: "none"\n\n',
    ],
)  # fmt: skip
def test_signs_of_life_are_passed_over(frame: bytes) -> None:
    assert told(ChatReader, frame + framed(chunk({"content": "a"})) + frame + framed(chunk({}, "stop")) + frame) == [
        ("token", "a"),
        STOP,
    ]


@pytest.mark.parametrize("frame", ["x", "7", '"x"', "[1]", "{", "pingx", "xping", "1.5", "DONE?"])
def test_a_frame_that_makes_no_sense(frame: str) -> None:
    nonsense = (PROTOCOL, f"{SERVER}a frame of the stream is not a JSON object")
    assert told(ChatReader, framed(chunk({"content": "a"}), frame, chunk({}, "stop"))) == [("token", "a"), nonsense]
    assert told(ChatReader, framed(chunk({"content": "a"}, "stop"), frame)) == [("token", "a"), STOP]


def test_frames_without_a_blank_line_between_them() -> None:
    lines = framed(chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, "stop"), "[DONE]").replace(
        b"\n\n", b"\n"
    )
    assert told(ChatReader, lines + b"\n") == [("token", "a"), ("token", "b"), STOP]
    assert told(ChatReader, b"event: error\ndata: two\ndata: lines\n\n") == [("AdapterError", f"{SERVER}two lines")]


def test_an_error_in_the_stream_shows_no_secret() -> None:
    for frame in (
        framed({"error": {"message": f"bad {SECRET}", "type": "x"}}),
        b"event: error\n" + framed({"message": f"bad {SECRET}", "type": "x"}),
        b"event: ERROR\n" + framed({"message": f"bad {SECRET}", "type": "x"}),
        whole({"error": {"message": f"bad {SECRET}", "type": "x"}}),
    ):
        assert told(ChatReader, frame) == [("AdapterError", f"{SERVER}bad *** (x)")]


def test_half_a_character_is_told_before_the_error() -> None:
    events = told(ChatReader, framed(chunk({"content": "a\ud83d"}), {"error": "x"}))
    assert events == [("token", "a"), ("token", "\ufffd"), ("AdapterError", f"{SERVER}x")]


def test_an_error_after_the_finish_reason_is_one_and_a_cut_is_none() -> None:
    good = framed(chunk({"content": "a"}, "stop"))
    assert told(ChatReader, good) == [("token", "a"), STOP]
    assert told(ChatReader, good + b"data: {") == [("token", "a"), STOP]
    assert told(ChatReader, good + framed({"error": "x"})) == [("token", "a"), ("AdapterError", f"{SERVER}x")]
    assert told(ChatReader, good + framed({"error": "x"}, {"error": "y"}))[-1] == ("AdapterError", f"{SERVER}x")


# ---- bodies without frames ----


def test_lines_without_frames_are_chunks() -> None:
    chunks = [chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, "stop")]
    body = b"".join(whole(item) + b"\n" for item in chunks)
    expected = [("token", "a"), ("token", "b"), STOP]
    assert told(ChatReader, body) == expected
    assert told(ChatReader, body.rstrip()) == expected
    assert told(ChatReader, *(bytes([byte]) for byte in body)) == expected
    assert told(ChatReader, body + b"[DONE]\nrest") == expected
    assert told(ChatReader, body[:-1], end=False) == expected[:-1]  # each as it comes
    assert told(ChatReader, body[: len(whole(chunks[0])) + 1] + b"[DONE]\n") == [("token", "a"), ("end", None)]
    assert told(ChatReader, whole(chunks[0]) + b"\nx\n") == [
        ("token", "a"),
        (PROTOCOL, f"{SERVER}a frame of the stream is not a JSON object"),
    ]
    assert told(ChatReader, whole(chunks[0])) == [
        ("token", "a"),
        ("TruncatedStreamError", f"{SERVER}the stream stopped without its end"),
    ]


def test_lines_are_known_by_the_first_one() -> None:
    delta = whole({"choices": [{"delta": {"content": "a"}}]}) + b"\n"
    assert told(ChatReader, delta + delta, end=False) == [("token", "a")] * 2
    message = {"message": {"content": "a"}}
    for choices in ([message], [{**message, "delta": {"content": "b"}}], {"delta": {"content": "a"}}, message):
        assert told(ChatReader, whole({"choices": choices}) + b"\n") == [("token", "a"), ("end", None)]
    for none in ([], [None], [7], None):
        assert told(ChatReader, whole({"choices": none}) + b"\n")[-1][0] == PROTOCOL


def test_what_has_no_line_end_is_no_line() -> None:
    rest = [(PROTOCOL, f"{SERVER}the answer is no JSON object that can be read: not JSON")]
    assert told(ChatReader, whole(chunk({"content": "a"})), b"x") == rest
    assert told(ChatReader, whole(chunk({"content": "a"})), b" ", b"x") == rest


def test_lines_and_events_are_bounded_as_the_options_say() -> None:
    http = HttpClient("http://host:1", bounds=Bounds(max_line_bytes=100, max_event_bytes=150))
    for frame, what in ((b"data: " + b"x" * 100, "a line"), (b"data: %s\n" % (b"x" * 80) * 2, "an event")):
        reader = ChatReader(http, HttpRequest("/", {}, {}))
        with pytest.raises(LineTooLongError, match=what):
            list(reader.feed(frame + b"\n\n"))


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (b"[1]", (PROTOCOL, f"{SERVER}the answer is not a JSON object")),
        (b"7", (PROTOCOL, f"{SERVER}the answer is not a JSON object")),
        (b"{}", (PROTOCOL, f"{SERVER}the answer ended before it began")),
        (b"{}\n{}", (PROTOCOL, f"{SERVER}the answer is no JSON object that can be read: not JSON")),
        (b"<html>\n</html>", (PROTOCOL, f"{SERVER}the answer is no JSON object that can be read: not JSON")),
        (b'{"detail": "Not Found"}', ("AdapterError", f"{SERVER}Not Found")),
        (b'[{"error": {"message": "m", "status": "UNAVAILABLE"}}]', ("AdapterBusyError", f"{SERVER}m")),
    ],
)
def test_whole_bodies_that_are_no_answer(body: bytes, event: tuple[str, str]) -> None:
    assert told(ChatReader, body) == [event]
    assert told(ChatReader, *(bytes([byte]) for byte in body)) == [event]


def test_a_whole_answer_may_be_written_over_several_lines() -> None:
    body = b'{\n "choices": [\n  {"message": {"content": "a"}, "finish_reason": "stop"}\n ]\n}\n'
    assert told(ChatReader, body) == [("token", "a"), STOP]
    assert told(ChatReader, *(bytes([byte]) for byte in body)) == [("token", "a"), STOP]


def test_a_whole_answer_may_be_as_long_as_its_bound() -> None:
    body = whole({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]})
    assert told(ChatReader, body.ljust(BOUND_BYTES)) == [("token", "a"), STOP]
    assert told(ChatReader, *[body.ljust(BOUND_BYTES - 10), b" " * 10]) == [("token", "a"), STOP]
    for pieces in ([body.ljust(BOUND_BYTES + 1)], [body.ljust(BOUND_BYTES), b" "]):
        with pytest.raises(LineTooLongError, match=f"^an answer of more than {BOUND_BYTES} bytes$"):
            told(ChatReader, *pieces)


def test_an_empty_body_and_one_that_is_cut_before_its_form_is_known() -> None:
    cut = [("TruncatedStreamError", f"{SERVER}the stream stopped without its end")]
    for body in (b"", b" ", b"dat", b"data", b": ping\n\n", b"data: {"):
        assert told(ChatReader, body) == cut
    assert told(ChatReader, b"database") == [
        (PROTOCOL, f"{SERVER}the answer is no JSON object that can be read: not JSON")
    ]
