"""``/v1/chat/completions``, and ``/api/v0/chat/completions`` with its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from ..engine.instance import Piece
from ..http import Body, frame
from . import errors
from .ask import MOST_TOOLS, Ask, Role, Tool, Turn, chosen_tools, prompt_tokens, text_of
from .conversations import StoredConversations
from .errors import Refusal
from .fields import Fields
from .writer import AnswerInProgress, Dialect, Writer, runs

__all__ = [
    "CHAT",
    "CHAT_V0",
    "MOST_CHOICES",
    "figures",
    "made_up_logprobs",
    "parse_chat",
    "parse_tools",
    "sampling",
    "usage",
]

MOST_CHOICES: Final = 16
ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


# ---- what is asked ----


def parse_chat(fields: Fields, headers: Mapping[str, str], stored: StoredConversations) -> Ask:
    """Raises Refusal."""
    model = fields.required_string("model")
    fields.required("messages")
    turns = tuple(map(_turn, fields.objects("messages")))
    tools = parse_tools(tool.object("function") for tool in fields.objects("tools", MOST_TOOLS))
    return Ask(
        model=model,
        turns=turns,
        prompt_tokens=prompt_tokens(turns, headers),
        most_tokens=fields.tokens("max_completion_tokens", "max_tokens"),
        calls=chosen_tools(tools, _tool_choice(fields), turns),
        schema=_schema(fields),
        reasons={"": None, "none": False}.get(fields.string("reasoning_effort"), True),
        logprobs=(fields.integer("top_logprobs", 0, 20) or 0) if fields.flag("logprobs") else None,
        **sampling(fields),
    )


def sampling(fields: Fields) -> dict[str, Any]:
    """Return what chats and completions have in common."""
    return {
        "stream": fields.flag("stream"),
        "include_usage": fields.object("stream_options").flag("include_usage"),
        "choices": fields.integer("n", 1, MOST_CHOICES) or 1,
        "seed": fields.integer("seed", -(2**63), 2**63 - 1),
        "stop": fields.strings("stop"),
        "ttl": fields.seconds("ttl"),
    }


def parse_tools(functions: Iterator[Fields]) -> tuple[Tool, ...]:
    """Return the functions that may be called. Raises Refusal."""
    return tuple(Tool(function.required_string("name"), function.body.get("parameters")) for function in functions)


def _turn(message: Fields) -> Turn:
    role = ROLES.get(message.string("role", "user"))
    if role is None:
        raise errors.invalid_type("messages", "an array of messages with a known role")
    calls = tuple(call.object("function").string("name") for call in message.objects("tool_calls"))
    return Turn(role, text_of(message.body.get("content")), calls)


def _tool_choice(fields: Fields) -> str:
    choice = fields.body.get("tool_choice")
    if isinstance(choice, Mapping):
        return fields.object("tool_choice").object("function").required_string("name")
    word = fields.string("tool_choice", "auto")
    if word not in ("none", "auto", "required"):
        raise errors.invalid_type("tool_choice", "none, auto, required, or a function")
    return word


def _schema(fields: Fields) -> object:
    form = fields.object("response_format")
    kind = form.string("type", "text")
    if kind not in ("text", "json_schema"):
        raise Refusal(400, {"error": "'response_format.type' must be 'json_schema' or 'text'"})
    if kind == "text":
        return None
    schema = form.object("json_schema")
    schema.required("schema")
    return schema.object("schema").body


# ---- what is answered ----


class ChatWriter(Writer):
    """One choice after the other; each chunk belongs to one."""

    def __init__(self, answer: AnswerInProgress) -> None:
        super().__init__(answer)
        answer.id = answer.new_id("chatcmpl-", 21)
        self._ids = {
            (choice, call): answer.new_id("", 9, "0123456789")
            for choice in range(answer.ask.choices)
            for call in range(len(answer.ask.calls))
        }
        self._begun: set[object] = set()

    def add(self, pieces: Sequence[Piece]) -> list[bytes]:
        """Return one chunk for what belongs together."""
        frames = []
        for run in runs(pieces):
            role = {"role": "assistant"} if self._is_first(run.choice) else {}
            if run.kind == "call":
                frames += [self._chunk(run.choice, {**role, **delta}) for delta in self._call_deltas(run)]
            else:
                name = "content" if run.kind == "text" else self.answer.settings.reasoning_field
                frames.append(self._chunk(run.choice, {**role, name: run.text}, texts=run.texts))
        return frames

    def end(self) -> list[bytes]:
        """Return the closing chunk of each choice, the usage where it is asked for, and the end mark."""
        frames = [
            self._chunk(number, {}, ending.finish_reason) for number, ending in enumerate(self.answer.plan.endings)
        ]
        if self.answer.ask.include_usage:
            frames.append(frame({**self._head("chat.completion.chunk"), "choices": [], "usage": usage(self.answer)}))
        return [*frames, frame("[DONE]")]

    def whole(self) -> Body:
        """Return a chat.completion."""
        choices = [
            {
                "index": number,
                "logprobs": self._logprobs(tuple(p.text for p in self.answer.made if p.choice == number)),
                "finish_reason": ending.finish_reason,
                "message": self._message(number),
            }
            for number, ending in enumerate(self.answer.plan.endings)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": usage(self.answer), **self._figures()}

    def _figures(self) -> Body:
        return {"stats": {}}

    def _head(self, kind: str) -> Body:
        answer = self.answer
        about = {"id": answer.id, "object": kind, "created": answer.created, "model": answer.model}
        return {**about, "system_fingerprint": answer.model}

    def _chunk(self, choice: int, delta: Body, finish_reason: str | None = None, texts: Sequence[str] = ()) -> bytes:
        logprobs = self._logprobs(texts) if texts else None
        body = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return frame({**self._head("chat.completion.chunk"), "choices": [body]})

    def _call_deltas(self, run: Any) -> Iterator[Body]:
        """Yield the deltas of a call: the first tells its name, the others have pieces of its arguments."""
        if self._is_first((run.choice, run.call)):
            function = {"name": self.answer.ask.calls[run.call].name, "arguments": ""}
            call = {"index": run.call, "id": self._ids[run.choice, run.call], "type": "function", "function": function}
            yield {"tool_calls": [call]}
        yield {"tool_calls": [{"index": run.call, "function": {"arguments": run.text}}]}

    def _is_first(self, what: object) -> bool:
        first = what not in self._begun
        self._begun.add(what)
        return first

    def _message(self, choice: int) -> Body:
        answer = self.answer
        message: Body = {"role": "assistant", "content": answer.text(choice)}
        if reasoning := answer.text(choice, "reasoning"):
            message[answer.settings.reasoning_field] = reasoning
        calls = [
            {
                "id": self._ids[choice, number],
                "type": "function",
                "function": {"name": tool.name, "arguments": answer.text(choice, "call", number)},
            }
            for number, tool in enumerate(answer.ask.calls)
            if answer.text(choice, "call", number)
        ]
        return {**message, "tool_calls": calls} if calls else message

    def _logprobs(self, texts: Sequence[str]) -> Body | None:
        most = self.answer.ask.logprobs
        if most is None:
            return None
        return {"content": [_token(text, most) for text in texts]}


class ChatV0Writer(ChatWriter):
    """The same with figures of speed."""

    def end(self) -> list[bytes]:
        """Return the last chunk, with the figures beside the usage."""
        *frames, done = super().end()
        if not self.answer.ask.include_usage:
            return [*frames, done]
        last = {**self._head("chat.completion.chunk"), "choices": [], "usage": usage(self.answer), **self._figures()}
        return [*frames[:-1], frame(last), done]

    def _figures(self) -> Body:
        return figures(self.answer)


def usage(answer: AnswerInProgress) -> Body:
    """Return the tokens of one answer, all its choices together."""
    prompt, made = answer.ask.prompt_tokens, len(answer.made)
    body: Body = {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}
    if reasoning := answer.count("reasoning"):
        body["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return body


def figures(answer: AnswerInProgress) -> Body:
    """Return what the v0 API tells of an answer's speed, its model and its engine."""
    spec = answer.spec
    return {
        "stats": {
            "tokens_per_second": round(answer.tokens_per_second, 3),
            "time_to_first_token": round(answer.time_to_first_token, 3),
            "generation_time": round(answer.last - answer.began, 3) if answer.made else 0.0,
            "stop_reason": answer.plan.endings[0].reason,
        },
        "model_info": {
            "arch": spec.architecture,
            "quant": spec.quantization,
            "format": spec.format,
            "context_length": answer.context_length,
        },
        "runtime": {"name": "llama.cpp-mock", "version": "2.0.0", "supported_formats": ["gguf"]},
    }


def made_up_logprobs(text: str, most: int) -> list[tuple[str, float]]:
    """Return the token itself, then alternatives, each less likely."""
    random = Random(text)
    first = -random.uniform(0.01, 0.5)
    return [(text, first), *((f"{text.strip()}{n} ", first - n) for n in range(1, most))]


def _token(text: str, most: int) -> Body:
    ranked = [
        {"token": word, "logprob": round(value, 6), "bytes": list(word.encode("utf-8", "replace"))}
        for word, value in made_up_logprobs(text, max(most, 1))
    ]
    return {**ranked[0], "top_logprobs": ranked[:most]}


CHAT: Final = Dialect(ChatWriter)
CHAT_V0: Final = Dialect(ChatV0Writer)
