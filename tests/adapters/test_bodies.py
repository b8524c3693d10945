"""Bodies that are encoded, however they are labelled and split, and how long a call waits."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
import trio
import trio.testing

from adapters.http import Patience
from adapters.http.decoding import ContentDecoder
from statemachine import AdapterProtocolError, AdapterTimeoutError

TEXT = b'{"choices": []}' * 20


def alone(data: bytes) -> bytes:
    """Deflate without a header, as some servers send it."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def decoded(encoding: str, *pieces: bytes) -> bytes:
    decoder = ContentDecoder(encoding, "http://host")
    return b"".join(part for piece in pieces for part in decoder.feed(piece))


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


BODIES = {
    "plain": TEXT,
    "gzip": gzip.compress(TEXT),
    "gzip in two members": gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:]),
    "zlib": zlib.compress(TEXT),
    "zlib, fast": zlib.compress(TEXT, 1),
    "zlib, small": zlib.compress(TEXT, 9),
    "deflate alone": alone(TEXT),
}


@pytest.mark.parametrize(
    ("label", "body"),
    [
        *[
            (label, name)
            for label in ("gzip", "", "identity", "deflate", "gzip, deflate")
            for name in ("gzip", "gzip in two members")
        ],
        *[("deflate", name) for name in ("zlib", "zlib, fast", "zlib, small", "deflate alone")],
        ("Deflate", "deflate alone"),
        ("gzip , deflate", "zlib"),
        # no encoding, whatever the label says
        *[(label, "plain") for label in ("", "gzip", "identity", "utf-8")],
    ],
)
def test_a_body_is_decoded_by_its_first_bytes(label: str, body: str) -> None:
    data = BODIES[body]
    assert decoded(label, data) == TEXT
    assert decoded(label, *bytewise(data)) == TEXT
    assert decoded(label, data[:1], b"", data[1:]) == TEXT
    assert decoded("", BODIES["zlib"]) == BODIES["zlib"]  # nothing says that it is one


def test_what_is_read_of_the_first_bytes() -> None:
    assert [*ContentDecoder("", "s").feed(b"{")] == [b"{"]
    assert [*ContentDecoder("gzip", "s").feed(b"{")] == [b"{"]
    decoder = ContentDecoder("", "s")
    assert [*decoder.feed(b"\x1f")] == []
    assert [*decoder.feed(b"x")] == [b"\x1fx"]
    assert [*decoder.feed(b"\x1f\x8b")] == [b"\x1f\x8b"]
    assert decoded("deflate", b"", zlib.compress(b"x")) == b"x"


@pytest.mark.parametrize(
    "encoding",
    ["br", "BR", "zstd", "compress", "x-compress", "dcb", "dcz", "lzma", "xz", "gzip, br", "br , gzip", "gzip,br"],
)
def test_an_encoding_that_is_unknown_is_refused(encoding: str) -> None:
    with pytest.raises(AdapterProtocolError, match=r"^http://host: the answer has an encoding that was not asked for$"):
        ContentDecoder(encoding, "http://host")


def test_what_is_not_encoded_as_it_says_is_refused() -> None:
    for body in (b"\x1f\x8bxxxxxxxxxx", b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 9, BODIES["gzip"] + b"rest"):
        for pieces in ([body], bytewise(body)):
            with pytest.raises(
                AdapterProtocolError, match=r"^http://host: the answer is not encoded as its head says$"
            ):
                decoded("gzip", *pieces)
    with pytest.raises(AdapterProtocolError):
        decoded("deflate", b"xx no deflate")

    for body in (b"ok", b"\x06\x00"):
        with pytest.raises(AdapterProtocolError):
            decoded("deflate", body)


def stored(first: int, length: int) -> bytes:
    """Deflate alone, of one block that is not compressed, with padding in its first byte."""
    return bytes([first]) + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + b"a" * length


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (stored(0x08, 5) + stored(0x01, 0), b"a" * 5),  # as zlib's header but for its sum
        (stored(0x01, 23), b"a" * 23),  # the sum but for the method
        (stored(0x09, 21), b"a" * 21),
    ],
)
def test_deflate_alone_may_begin_nearly_as_a_header_does(body: bytes, text: bytes) -> None:
    assert decoded("deflate", body) == text
    assert decoded("deflate", *bytewise(body)) == text


def test_deflate_looks_back_as_far_as_it_may() -> None:
    text = random.Random(0).randbytes(20_000) * 2
    for packed in (alone(text), zlib.compress(text), gzip.compress(text)):
        assert decoded("deflate", packed) == text


def test_pieces_are_bounded() -> None:
    size = 64 * 1024
    for label, packed in (
        ("gzip", gzip.compress(b"a" * (3 * size + 1))),
        ("deflate", zlib.compress(b"a" * (3 * size + 1))),
    ):
        pieces = [*ContentDecoder(label, "s").feed(packed)]
        assert sum(map(len, pieces)) == 3 * size + 1
        assert max(map(len, pieces)) == size


# ---- patience ----


async def waited(patience: Patience) -> float:
    """Until when, from now."""
    return patience.deadline - trio.current_time()


async def test_a_call_waits_for_its_first_event_then_between_events_and_in_all(
    autojump_clock: trio.testing.MockClock,
) -> None:
    patience = Patience(10, 3, 15)
    assert await waited(patience) == pytest.approx(10)
    await trio.sleep(9)
    assert await waited(patience) == pytest.approx(1)
    patience.event_seen()
    assert await waited(patience) == pytest.approx(3)
    await trio.sleep(2)
    assert await waited(patience) == pytest.approx(1)
    patience.event_seen()
    await trio.sleep(2)
    patience.event_seen()
    assert await waited(patience) == pytest.approx(2)  # in all


async def test_a_time_out_of_none_is_unbounded(autojump_clock: trio.testing.MockClock) -> None:
    assert Patience(None, None, None).deadline == float("inf")
    assert await waited(Patience(None, 3, 15)) == pytest.approx(15)
    assert await waited(Patience(10, 3, None)) == pytest.approx(10)
    patience = Patience(10, None, None)
    patience.event_seen()
    assert patience.deadline == float("inf")


async def test_an_answer_in_one_piece_is_waited_for_as_a_whole(autojump_clock: trio.testing.MockClock) -> None:
    patience = Patience.within(5)
    await trio.sleep(4)
    patience.event_seen()
    assert await waited(patience) == pytest.approx(1)
    assert Patience.within(None).deadline == float("inf")


async def test_a_time_out_says_what_took_too_long(autojump_clock: trio.testing.MockClock) -> None:
    longer = "s: the call takes longer than it may"
    for patience, text in (
        (Patience(10, 3, 15), "s: nothing came for 10 s"),
        (Patience(2.5, 3, None), "s: nothing came for 2.5 s"),
        (Patience(10, 3, 10), longer),
        (Patience(10, 3, 5), longer),
        (Patience(None, 3, 5), longer),
        (Patience.within(5), longer),
    ):
        error = patience.exhausted("s")
        assert (type(error), str(error)) == (AdapterTimeoutError, text)
    patience = Patience(10, 3, 15)
    patience.event_seen()
    assert str(patience.exhausted("s")) == "s: nothing came for 3 s"
    await trio.sleep(13)
    patience.event_seen()
    assert str(patience.exhausted("s")) == longer
