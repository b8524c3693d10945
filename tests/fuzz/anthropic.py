"""A grammar of Anthropic's answers, and what must come of each. See ``openai``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from adapters.anthropic.reader import MessagesReader

from .answers import Frame, Transcript, check_transcript, nothing, texts, transcripts_of

__all__ = ["check", "transcripts"]


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def _said(text: str, index: Any, named: bool) -> Frame:
    given = {"type": "text_delta", "text": text} if named else {"text": text}
    return Frame(event("content_block_delta", index=index, delta=given), text)


def _begun(text: str) -> Frame:
    return Frame(event("content_block_start", index=0, content_block={"type": "text", "text": text}), text)


def _thought(text: str, signed: bool) -> Frame:
    more = {"type": "signature_delta", "signature": text} if signed else {"type": "thinking_delta", "thinking": text}
    return Frame(event("content_block_delta", index=1, delta=more), does="" if signed or not text else "answers")


_ignored = st.sampled_from(
    [
        event("ping"),
        event("message_start", message={"id": "x", "usage": {"input_tokens": 1}}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 1}),
        event("future_event", anything=[1]),
        b": comment\n\n",
        b"data: null\n\n",
    ]
)
_frames = st.one_of(
    st.builds(_said, texts, st.sampled_from([0, "0", 1, None, -1, [], True]), st.booleans()),
    st.builds(_begun, texts),
    st.builds(_thought, texts, st.booleans()),
    st.builds(Frame, _ignored),
    st.builds(
        lambda odd: Frame(
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": odd}), does="spoil"
        ),
        st.sampled_from([7, 1.5, {"type": "image"}]),
    ),
    st.builds(
        lambda reason, odd: Frame(event("message_delta", delta={"stop_reason": reason}, usage=odd), does="finish"),
        st.sampled_from(["end_turn", "max_tokens", "stop_sequence"]),
        nothing,
    ),
    st.just(Frame(event("message_stop"), does="done")),
    st.just(Frame(event("error", error={"type": "overloaded_error", "message": "x"}), does="error")),
)
transcripts = transcripts_of(_frames)


def _expected(frames: Sequence[Frame]) -> tuple[str, str]:
    text, finished, spoiled, answered = "", False, False, False
    for frame in frames:
        text += frame.text
        answered = answered or bool(frame.text) or frame.does == "answers"
        finished = finished or frame.does == "finish"
        spoiled = spoiled or frame.does == "spoil"
        if frame.does == "done":
            return text, "end" if (finished or answered) and not spoiled else "error"
        if frame.does == "error":
            return text, "error"
    return text, "end" if finished and not spoiled else "error"


def check(transcript: Transcript, cuts: list[int]) -> None:
    """What is known of a transcript comes out, however it is split."""
    check_transcript(MessagesReader, transcript, cuts, _expected(transcript[0]))
