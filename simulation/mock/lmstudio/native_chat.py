"""``/api/v1/chat``: stateful, with events for the load and for the reading of the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from ..engine.instance import Piece
from ..http import Body, frame
from . import errors
from .ask import Ask, Turn, prompt_tokens
from .conversations import StoredConversations
from .errors import Refusal
from .fields import Fields
from .writer import AnswerInProgress, Dialect, Writer, runs

__all__ = ["NATIVE", "parse_native"]

HEX: Final = "0123456789abcdef"
KEYS: Final = (
    "model",
    "input",
    "system_prompt",
    "integrations",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "max_output_tokens",
    "reasoning",
    "context_length",
    "store",
    "previous_response_id",
)
REASONING: Final = {"": None, "off": False, "low": True, "medium": True, "high": True, "on": True}


# ---- what is asked ----


def parse_native(fields: Fields, headers: Mapping[str, str], stored: StoredConversations) -> Ask:
    """Raises Refusal."""
    fields.only(KEYS)
    model = fields.required_string("model")
    fields.required("input")
    previous = fields.string("previous_response_id") or None
    if previous is not None and not previous.startswith("resp_"):
        raise errors.invalid_type("previous_response_id", 'a string that starts with "resp_"')
    reasoning = fields.string("reasoning")
    if reasoning not in REASONING:
        raise errors.invalid_type("reasoning", "off, low, medium, high or on")
    system = fields.string("system_prompt")
    turns = (*([Turn("system", system)] if system else []), *stored.recall(previous), Turn("user", _input(fields)))
    return Ask(
        model=model,
        turns=turns,
        prompt_tokens=prompt_tokens(turns, headers),
        most_tokens=fields.integer("max_output_tokens", 1),
        stream=fields.flag("stream"),
        reasons=REASONING[reasoning],
        context_length=fields.integer("context_length", 1),
        store=fields.flag("store", default=True),
        previous=previous,
        integrations=tuple(_integration(item) for item in fields.array("integrations")),
    )


def _input(fields: Fields) -> str:
    if isinstance(fields.body["input"], str):
        return str(fields.body["input"])
    texts = []
    for item in fields.objects("input"):
        kind = item.string("type")
        if kind not in ("message", "text", "image"):
            raise errors.invalid_type("input", "a string, or an array of messages and images")
        text = item.required_string("data_url" if kind == "image" else "content")
        texts.append("" if kind == "image" else text)
    return "\n".join(texts)


def _integration(item: object) -> Mapping[str, Any]:
    """Return the tool that an integration's call is of, and who provides it."""
    if isinstance(item, str):
        return {"tool": "mock_tool", "provider_info": {"type": "plugin", "plugin_id": item}}
    fields = Fields(item, "integrations.")
    tool = next(iter(fields.strings("allowed_tools")), "mock_tool")
    if fields.required_string("type") == "plugin":
        return {"tool": tool, "provider_info": {"type": "plugin", "plugin_id": fields.required_string("id")}}
    fields.required("server_url")
    label = fields.required_string("server_label")
    return {"tool": tool, "provider_info": {"type": "ephemeral_mcp", "server_label": label}}


# ---- what is answered ----


class NativeWriter(Writer):
    """The order of events is fixed: load, prompt, reasoning, calls of tools, message."""

    opens_early: ClassVar = True

    def __init__(self, answer: AnswerInProgress) -> None:
        super().__init__(answer)
        answer.id = answer.new_id("resp_", 48, HEX)
        self._open: str | None = None
        self._called = False

    def begin(self) -> list[bytes]:
        """Names the instance; before a load, the model."""
        return [_event("chat.start", model_instance_id=self.answer.model)]

    def loading(self, progress: float) -> list[bytes]:
        """Report the load that the request causes."""
        model = {"model_instance_id": self.answer.model}
        start = [_event("model_load.start", **model)] if progress == 0.0 else []
        return [*start, _event("model_load.progress", **model, progress=progress)]

    def loaded(self) -> list[bytes]:
        """Report how long it took."""
        seconds = round(self.answer.load_seconds or 0.0, 3)
        return [_event("model_load.end", model_instance_id=self.answer.model, load_time_seconds=seconds)]

    def reading(self, progress: float) -> list[bytes]:
        """Report how much of the prompt has been read."""
        start = [_event("prompt_processing.start")] if progress == 0.0 else []
        end = [_event("prompt_processing.end")] if progress == 1.0 else []
        return [*start, _event("prompt_processing.progress", progress=progress), *end]

    def add(self, pieces: Sequence[Piece]) -> list[bytes]:
        """Return the next piece of the reasoning or of the message."""
        frames = []
        for run in runs(pieces):
            name = "message" if run.kind == "text" else "reasoning"
            if self._open != name:
                frames += self._close()
                frames += self._calls() if name == "message" else []
                frames.append(_event(f"{name}.start"))
                self._open = name
            frames.append(_event(f"{name}.delta", content=run.text))
        return frames

    def end(self) -> list[bytes]:
        """Return the whole answer again."""
        return [*self._close(), *self._calls(), _event("chat.end", result=self.whole())]

    def error(self, refusal: Refusal) -> list[bytes]:
        """Return an error event; what was made before it follows all the same."""
        return [_event("error", error=refusal.body["error"]), _event("chat.end", result=self.whole())]

    def whole(self) -> Body:
        """Return the items, and the figures of speed."""
        answer = self.answer
        calls = [{"type": "tool_call", **call} for call in map(_call, answer.ask.integrations)]
        texts = [("reasoning", answer.text(kind="reasoning")), ("message", answer.text())]
        reasoning, message = ([{"type": kind, "content": text}] if text else [] for kind, text in texts)
        stats = {
            "input_tokens": answer.ask.prompt_tokens,
            "total_output_tokens": len(answer.made),
            "reasoning_output_tokens": answer.count("reasoning"),
            "tokens_per_second": round(answer.tokens_per_second, 3),
            "time_to_first_token_seconds": round(answer.time_to_first_token, 3),
        }
        if answer.load_seconds is not None:
            stats["model_load_time_seconds"] = round(answer.load_seconds, 3)
        body = {"model_instance_id": answer.model, "output": [*reasoning, *calls, *message], "stats": stats}
        return {**body, "response_id": answer.id} if answer.ask.store else body

    def _close(self) -> list[bytes]:
        if self._open is None:
            return []
        name, self._open = self._open, None
        return [_event(f"{name}.end")]

    def _calls(self) -> list[bytes]:
        """Return the calls that the server makes itself, once."""
        if self._called:
            return []
        self._called = True
        frames = []
        for call in map(_call, self.answer.ask.integrations):
            asked = {name: call[name] for name in ("tool", "arguments", "provider_info")}
            frames += [
                _event("tool_call.start", tool=call["tool"], provider_info=call["provider_info"]),
                _event("tool_call.arguments", **asked),
                _event("tool_call.success", **call),
            ]
        return frames


def _call(integration: Mapping[str, Any]) -> Body:
    return {**integration, "arguments": {}, "output": "mock"}


def _event(name: str, /, **members: Any) -> bytes:
    return frame({"type": name, **members}, event=name)


def _refusal(refusal: Refusal) -> Refusal:
    """Translate a refusal of the OpenAI-compatible endpoints into the native words; return a native one as it is."""
    kind, code, param = (refusal.member(name) for name in ("type", "code", "param"))
    if kind not in (None, "invalid_request_error"):
        return refusal
    status = 404 if code == "model_not_found" else refusal.status
    plain = "invalid_request" if kind is None or param is not None else "internal_error"
    error = {"type": "model_not_found" if status == 404 else plain, "message": refusal.message}
    error |= {name: value for name, value in (("code", code), ("param", param)) if value is not None}
    return Refusal(status, {"error": error})


NATIVE: Final = Dialect(NativeWriter, refusal=_refusal, pretty=True)
