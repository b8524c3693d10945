"""``/v1/responses``: what is asked, and the answer as items and as events.

The recorded body and the names of the first and last events are LM Studio's; the events between are as OpenAI documents them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..engine.instance import Piece
from ..http import Body, frame
from . import errors
from .ask import MOST_TOOLS, Ask, Tool, Turn, chosen_tools, prompt_tokens, text_of
from .conversations import StoredConversations
from .errors import Refusal
from .fields import Fields
from .writer import AnswerInProgress, Dialect, PieceGroup, Writer, runs

__all__ = ["RESPONSE", "parse_response"]

HEX: Final = "0123456789abcdef"
ECHOED: Final = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "text",
)


# ---- what is asked ----


def parse_response(fields: Fields, headers: Mapping[str, str], stored: StoredConversations) -> Ask:
    """Raises Refusal."""
    model = fields.required_string("model")
    fields.required("input")
    previous = fields.string("previous_response_id") or None
    system = fields.string("instructions")
    turns = (
        *([Turn("system", system)] if system else []),
        *stored.recall(previous),
        *_turns(fields),
    )
    tools = tuple(
        Tool(tool.required_string("name"), tool.body.get("parameters"))
        for tool in fields.objects("tools", MOST_TOOLS)
        if tool.string("type", "function") == "function"
    )
    return Ask(
        model=model,
        turns=turns,
        prompt_tokens=prompt_tokens(turns, headers),
        most_tokens=fields.tokens("max_output_tokens"),
        stream=fields.flag("stream"),
        seed=fields.integer("seed", -(2**63), 2**63 - 1),
        calls=chosen_tools(tools, _tool_choice(fields), turns),
        schema=_schema(fields.object("text").object("format")),
        reasons={"": None, "none": False}.get(fields.object("reasoning").string("effort"), True),
        ttl=fields.seconds("ttl"),
        store=fields.flag("store", default=True),
        previous=previous,
        echo={name: fields.body.get(name) for name in ECHOED},
    )


def _turns(fields: Fields) -> Iterator[Turn]:
    if isinstance(fields.body["input"], str):
        yield Turn("user", fields.body["input"])
        return
    for item in fields.objects("input"):
        kind = item.string("type", "message")
        if kind == "message":
            yield _message(item)
        elif kind == "function_call":
            yield Turn("assistant", "", (item.string("name"),))
        elif kind == "function_call_output":
            yield Turn("tool", text_of(item.body.get("output")))


def _message(item: Fields) -> Turn:
    role = item.string("role", "user")
    text = text_of(item.body.get("content"))
    if role in ("system", "developer"):
        return Turn("system", text)
    if role == "assistant":
        return Turn("assistant", text)
    if role != "user":
        raise errors.invalid_type("input", "an array of messages with a known role")
    return Turn("user", text)


def _tool_choice(fields: Fields) -> str:
    choice = fields.body.get("tool_choice")
    return (
        fields.object("tool_choice").string("name")
        if isinstance(choice, Mapping)
        else fields.string("tool_choice", "auto")
    )


def _schema(form: Fields) -> object:
    if form.string("type", "text") != "json_schema":
        return None
    form.required("schema")
    return form.object("schema").body


# ---- what is answered ----


class ResponseWriter(Writer):
    """One item after the other: reasoning, then calls of functions or a message."""

    def __init__(self, answer: AnswerInProgress) -> None:
        super().__init__(answer)
        answer.id = answer.new_id("resp_", 48, HEX)
        self._items: list[Body] = []
        self._open: tuple[str, int] | None = None
        self._sequence = 0

    def begin(self) -> list[bytes]:
        """Return the response that is to be filled."""
        response = self._response("in_progress")
        return [self._event(name, response=response) for name in ("response.created", "response.in_progress")]

    def add(self, pieces: Sequence[Piece]) -> list[bytes]:
        """Return the next piece of an item, or of several."""
        frames = []
        for run in runs(pieces):
            if self._open != (run.kind, run.call):
                frames += self._close()
                frames += self._start(run)
            frames.append(self._delta(run))
        return frames

    def end(self) -> list[bytes]:
        """Return the whole response."""
        frames = self._close()
        response = self._final()
        return [*frames, self._event(f"response.{response['status']}", response=response)]

    def error(self, refusal: Refusal) -> list[bytes]:
        """Return a response that has failed."""
        error = {"code": refusal.member("code") or "server_error", "message": refusal.message}
        return [self._event("response.failed", response={**self._response("failed"), "error": error})]

    def whole(self) -> Body:
        """Return a response."""
        for run in runs(self.answer.made):
            if self._open != (run.kind, run.call):
                self._close()
                self._start(run)
            self._delta(run)
        self._close()
        return self._final()

    # ---- items ----

    def _start(self, run: PieceGroup) -> list[bytes]:
        self._open = run.kind, run.call
        item = self._new_item(run)
        self._items.append(item)
        frames = [self._event("response.output_item.added", output_index=len(self._items) - 1, item=item)]
        if run.kind != "call":
            frames.append(self._item_event("response.content_part.added", content_index=0, part=_part(run.kind, "")))
        return frames

    def _new_item(self, run: PieceGroup) -> Body:
        if run.kind == "call":
            name = self.answer.ask.calls[run.call].name
            about = {"id": self.answer.new_id("fc_", 22), "type": "function_call", "status": "in_progress"}
            return {**about, "call_id": self.answer.new_id("call_", 22), "name": name, "arguments": ""}
        if run.kind == "reasoning":
            return {"id": self.answer.new_id("rs_", 22), "type": "reasoning", "summary": [], "content": []}
        about = {"id": self.answer.new_id("msg_", 22), "type": "message", "role": "assistant"}
        return {**about, "status": "in_progress", "content": []}

    def _delta(self, run: PieceGroup) -> bytes:
        item = self._items[-1]
        if run.kind == "call":
            item["arguments"] += run.text
            return self._item_event("response.function_call_arguments.delta", delta=run.text)
        text = "".join(part["text"] for part in item["content"]) + run.text
        item["content"] = [_part(run.kind, text)]
        name = "response.output_text.delta" if run.kind == "text" else "response.reasoning_text.delta"
        return self._item_event(name, content_index=0, delta=run.text, **_no_logprobs(run.kind))

    def _close(self) -> list[bytes]:
        if self._open is None:
            return []
        kind, _ = self._open
        self._open = None
        item = self._items[-1]
        if kind != "reasoning":
            item["status"] = "completed"
        frames = self._done(kind, item)
        return [*frames, self._event("response.output_item.done", output_index=len(self._items) - 1, item=item)]

    def _done(self, kind: str, item: Body) -> list[bytes]:
        """Return what an item says of itself before it is done."""
        if kind == "call":
            told = {"name": item["name"], "arguments": item["arguments"]}
            return [self._item_event("response.function_call_arguments.done", **told)]
        (part,) = item["content"]
        name = "response.output_text.done" if kind == "text" else "response.reasoning_text.done"
        return [
            self._item_event(name, content_index=0, text=part["text"], **_no_logprobs(kind)),
            self._item_event("response.content_part.done", content_index=0, part=part),
        ]

    # ---- events and bodies ----

    def _event(self, name: str, /, **members: Any) -> bytes:
        self._sequence += 1
        return frame({"type": name, "sequence_number": self._sequence - 1, **members}, event=name)

    def _item_event(self, name: str, /, **members: Any) -> bytes:
        return self._event(name, item_id=self._items[-1]["id"], output_index=len(self._items) - 1, **members)

    def _final(self) -> Body:
        answer = self.answer
        cut = answer.plan.endings[0].finish_reason == "length"
        made, reasoning = len(answer.made), answer.count("reasoning")
        usage = {
            "input_tokens": answer.ask.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": answer.ask.prompt_tokens + made,
        }
        response = self._response("incomplete" if cut else "completed")
        details = {"reason": "max_output_tokens"} if cut else None
        completed = answer.created + round(answer.last - answer.began) if answer.made else answer.created
        return {**response, "completed_at": completed, "incomplete_details": details, "usage": usage}

    def _response(self, status: str) -> Body:
        ask, echo = self.answer.ask, self.answer.ask.echo
        return {
            "id": self.answer.id,
            "object": "response",
            "created_at": self.answer.created,
            "completed_at": None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self.answer.model,
            "previous_response_id": ask.previous,
            **echo,
            "tools": echo["tools"] or [],
            "tool_choice": echo["tool_choice"] or "auto",
            "text": echo["text"] or {"format": {"type": "text"}},
            "parallel_tool_calls": True,
            "store": ask.store,
            "output": [dict(item) for item in self._items],
            "usage": None,
        }


def _part(kind: str, text: str) -> Body:
    if kind == "reasoning":
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _no_logprobs(kind: str) -> Body:
    return {"logprobs": []} if kind == "text" else {}


RESPONSE: Final = Dialect(ResponseWriter)
