"""A grammar of OpenAI-compatible answers, right and wrong ones, and what must come of each.

The grammar writes a transcript of frames whose meaning is known, and from it what a reader must say: which text, and how the answer closes.
An answer that ends well has all of its text, and one that cannot be read does not end well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from adapters.http import ChatReader

from .answers import Frame, Transcript, check_transcript, nothing, texts, transcripts_of

__all__ = ["check", "transcripts"]


def data(payload: object, *, ascii_only: bool = True) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=ascii_only).encode("utf-8", "replace") + b"\n\n"


def chunk(delta: object, reason: object = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


_ignored = st.sampled_from(
    [
        b": ping\n\n",
        b"\n",
        b"data: null\n\n",
        b"data:\n\n",
        b"data: : x\n\n",
        b"id: 7\n\n",
        b"retry: 9\n\n",
        b"data: {}\n\n",
    ]
)
_nonsense = st.sampled_from(
    [b"data: {\n\n", b"data: 7\n\n", b'data: "x"\n\n', b"data: [1]\n\n", b"data: " + b"[" * 999 + b"\n\n"]
)
_unreadable = st.sampled_from(
    [{"content": 7}, {"content": [{"type": "image"}]}, {"reasoning": 1.5}, {"tool_calls": "x"}]
)
_errors = st.sampled_from(
    [{"error": "no"}, {"error": {"code": 429}}, {"choices": [], "error": {"message": "x", "code": 502}}]
)
_shapes: Final[Sequence[Callable[[str], object]]] = (
    lambda text: {"content": text},
    lambda text: {"content": [{"type": "text", "text": text}]},
    lambda text: {"content": {"text": text}},
    lambda text: {"role": "assistant", "content": text, "unknown": {"a": [1]}},
)


def _said(text: str, shape: Callable[[str], object], nothing: object) -> Frame:
    return Frame(data(chunk(shape(text), nothing)), text)


def _said_raw(text: str) -> Frame:
    """Text that is not escaped: what UTF-8 cannot hold becomes a question mark, which is the sender's fault."""
    sent = text.encode("utf-8", "replace").decode()
    return Frame(data(chunk({"content": sent}, error=None, usage={"a": 1}), ascii_only=False), sent)


_frames = st.one_of(
    st.builds(_said, texts, st.sampled_from(_shapes), nothing),
    st.builds(_said_raw, st.text(max_size=8)),
    st.builds(Frame, _ignored),
    st.builds(lambda odd: Frame(odd, does="nonsense"), _nonsense),
    st.builds(lambda delta: Frame(data(chunk(delta)), does="spoil"), _unreadable),
    st.builds(lambda error: Frame(data(error), does="error"), _errors),
    st.builds(lambda reason: Frame(data(chunk({}, reason)), does="finish"), st.sampled_from(["stop", "length"])),
    st.just(Frame(b"data: [DONE]\n\n", does="done")),
)
transcripts = transcripts_of(_frames)


def _expected(frames: Sequence[Frame]) -> tuple[str, str]:
    """The text that must be read, and how the answer closes: "end" or "error"."""
    text, finished, spoiled, answered = "", False, False, False
    for frame in frames:
        text += frame.text
        answered = answered or bool(frame.text)
        finished = finished or frame.does == "finish"
        spoiled = spoiled or frame.does == "spoil"
        if frame.does == "done":
            return text, "end" if (finished or answered) and not spoiled else "error"
        if frame.does == "error" or (frame.does == "nonsense" and not finished):
            return text, "error"
    return text, "end" if finished and not spoiled else "error"


def check(transcript: Transcript, cuts: list[int]) -> None:
    """What is known of a transcript comes out, however it is split."""
    check_transcript(ChatReader, transcript, cuts, _expected(transcript[0]))
