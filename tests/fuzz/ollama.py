"""A grammar of Ollama's answers, a JSON object a line, and what must come of each. See ``openai``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from adapters.ollama.reader import OllamaReader

from .answers import Frame, Transcript, check_transcript, nothing, texts, transcripts_of

__all__ = ["check", "transcripts"]


def line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _said(text: str, done: Any, generated: bool) -> Frame:
    made = {"response": text} if generated else {"message": {"role": "assistant", "content": text}}
    return Frame(line({"model": "m", **made, "done": done}), text)


def _last(text: str, reason: str, figures: Any) -> Frame:
    last = {"message": {"content": text}, "done": True, "done_reason": reason, "eval_count": figures}
    return Frame(line(last), text, "done")


_unreadable = st.sampled_from(
    [{"content": 7}, {"content": [{"type": "image"}]}, {"thinking": 1.5}, {"tool_calls": "x"}]
)
_frames = st.one_of(
    st.builds(_said, texts, nothing, st.booleans()),
    st.builds(_last, texts, st.sampled_from(["stop", "length"]), st.sampled_from([3, -1, None, "x", 1.5, True])),
    st.builds(Frame, st.sampled_from([b"\n", b"\r\n", b" \n", b"{}\n", line({"message": None, "done": False})])),
    st.builds(lambda odd: Frame(line({"message": odd}), does="spoil"), _unreadable),
    st.builds(
        lambda e: Frame(line({"error": e}), does="error"), st.sampled_from(["no", {"message": "x", "code": 503}])
    ),
)
transcripts = transcripts_of(_frames)


def _expected(frames: Sequence[Frame]) -> tuple[str, str]:
    text, spoiled = "", False
    for frame in frames:
        text += frame.text
        spoiled = spoiled or frame.does == "spoil"
        if frame.does in ("done", "error"):
            return text, "error" if spoiled or frame.does == "error" else "end"
    return text, "error"


def check(transcript: Transcript, cuts: list[int]) -> None:
    """What is known of a transcript comes out, however it is split."""
    check_transcript(OllamaReader, transcript, cuts, _expected(transcript[0]))
