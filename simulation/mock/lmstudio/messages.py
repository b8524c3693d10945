"""``/v1/messages``: Anthropic's shapes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..engine.instance import Piece
from ..http import Body, frame
from . import errors
from .ask import MOST_TOOLS, Ask, Role, Tool, Turn, chosen_tools, prompt_tokens, text_of
from .conversations import StoredConversations
from .errors import Refusal
from .fields import Fields
from .plan import Ending
from .writer import AnswerInProgress, Dialect, PieceGroup, Writer, runs

__all__ = ["MESSAGE", "parse_message"]

ERROR_TYPES: Final = {401: "authentication_error", 404: "not_found_error", 413: "request_too_large"}
ROLES: Final[dict[str, Role]] = {"user": "user", "assistant": "assistant", "system": "system"}
DELTAS: Final = {"text": "text_delta", "reasoning": "thinking_delta", "call": "input_json_delta"}
DELTA_TEXTS: Final = {"text": "text", "reasoning": "thinking", "call": "partial_json"}


# ---- what is asked ----


def parse_message(fields: Fields, headers: Mapping[str, str], stored: StoredConversations) -> Ask:
    """Raises Refusal."""
    model = fields.required_string("model")
    for name in ("max_tokens", "messages"):
        fields.required(name)
    system = text_of(fields.body.get("system"))
    turns = (
        *([Turn("system", system)] if system else []),
        *(turn for message in fields.objects("messages") for turn in _turns(message)),
    )
    tools = tuple(
        Tool(tool.required_string("name"), tool.body.get("input_schema"))
        for tool in fields.objects("tools", MOST_TOOLS)
    )
    return Ask(
        model=model,
        turns=turns,
        prompt_tokens=prompt_tokens(turns, headers),
        most_tokens=fields.integer("max_tokens", 0),
        stream=fields.flag("stream"),
        stop=fields.strings("stop_sequences"),
        calls=chosen_tools(tools, _tool_choice(fields.object("tool_choice")), turns),
        reasons=fields.object("thinking").string("type", "disabled") != "disabled",
    )


def _turns(message: Fields) -> Iterator[Turn]:
    """Yield the turns. A message with results of tools counts as theirs, whatever else it says."""
    role = ROLES.get(message.string("role", "user"))
    if role is None:
        raise errors.invalid_type("messages", "an array of messages with a known role")
    content = message.body.get("content")
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    results = [block for block in blocks if block.get("type") == "tool_result"]
    for block in results:
        yield Turn("tool", text_of(block.get("content")))
    if not results:
        calls = tuple(str(block.get("name")) for block in blocks if block.get("type") == "tool_use")
        yield Turn(role, text_of(content), calls)


def _tool_choice(choice: Fields) -> str:
    kind = choice.string("type", "auto")
    words = {"auto": "auto", "any": "required", "none": "none"}
    return choice.required_string("name") if kind == "tool" else words.get(kind, "auto")


# ---- what is answered ----


class MessageWriter(Writer):
    """One block after the other: thinking, then text or uses of tools."""

    def __init__(self, answer: AnswerInProgress) -> None:
        super().__init__(answer)
        answer.id = answer.new_id("msg_", 24)
        self._open: tuple[str, int] | None = None
        self._index = -1

    def begin(self) -> list[bytes]:
        """Return the message that is to be filled."""
        return [_event("message_start", message=self._message([], None))]

    def add(self, pieces: Sequence[Piece]) -> list[bytes]:
        """Return the next piece of a block, or of several."""
        frames = []
        for run in runs(pieces):
            if self._open != (run.kind, run.call):
                frames += self._close()
                self._open = run.kind, run.call
                self._index += 1
                frames.append(_event("content_block_start", index=self._index, content_block=self._new_block(run)))
            delta = {"type": DELTAS[run.kind], DELTA_TEXTS[run.kind]: run.text}
            frames.append(_event("content_block_delta", index=self._index, delta=delta))
        return frames

    def end(self) -> list[bytes]:
        """Return how it ends, and what it took."""
        ending = self.answer.plan.endings[0]
        delta = {"stop_reason": _stop_reason(ending), "stop_sequence": ending.stop}
        usage = {"output_tokens": len(self.answer.made)}
        return [*self._close(), _event("message_delta", delta=delta, usage=usage), _event("message_stop")]

    def error(self, refusal: Refusal) -> list[bytes]:
        """Return an error event."""
        return [frame(refusal.body, event="error")]

    def whole(self) -> Body:
        """Return a message."""
        blocks = []
        for run in runs(self.answer.made):
            block = self._new_block(run)
            block.update(_filled(run))
            blocks.append(block)
        return self._message(blocks, self.answer.plan.endings[0])

    def _message(self, blocks: list[Body], ending: Ending | None) -> Body:
        answer = self.answer
        return {
            "id": answer.id,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": blocks,
            "stop_reason": None if ending is None else _stop_reason(ending),
            "stop_sequence": None if ending is None else ending.stop,
            "usage": {"input_tokens": answer.ask.prompt_tokens, "output_tokens": len(answer.made) if ending else 0},
        }

    def _new_block(self, run: PieceGroup) -> Body:
        if run.kind == "call":
            name = self.answer.ask.calls[run.call].name
            return {"type": "tool_use", "id": self.answer.new_id("toolu_", 22), "name": name, "input": {}}
        if run.kind == "reasoning":
            return {"type": "thinking", "thinking": "", "signature": ""}
        return {"type": "text", "text": ""}

    def _close(self) -> list[bytes]:
        if self._open is None:
            return []
        self._open = None
        return [_event("content_block_stop", index=self._index)]


def _event(name: str, /, **members: Any) -> bytes:
    return frame({"type": name, **members}, event=name)


def _filled(run: PieceGroup) -> Body:
    if run.kind != "call":
        return {DELTA_TEXTS[run.kind]: run.text}
    try:
        return {"input": json.loads(run.text)}
    except ValueError:  # cut by the bound on tokens
        return {}


def _stop_reason(ending: Ending) -> str:
    if ending.stop is not None:
        return "stop_sequence"
    return {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}[ending.finish_reason]


def _refusal(refusal: Refusal) -> Refusal:
    kind = ERROR_TYPES.get(refusal.status, "api_error" if refusal.status >= 500 else "invalid_request_error")
    return Refusal(refusal.status, {"type": "error", "error": {"type": kind, "message": refusal.message}})


MESSAGE: Final = Dialect(MessageWriter, refusal=_refusal)
