"""Transcripts of the wire, mutated by a grammar, and what must be true of what a reader makes of them.

``python -m tests.conformance.wire --transcripts 100000`` runs that many. Of every transcript, whatever was done to it:

- the reader raises nothing, and closes with exactly one ``end`` or ``error``, after which nothing comes;
- every event has a known type and data of its kind, and an ``error`` is an AdapterError;
- how the body was cut into pieces makes no difference;
- where it ends with ``end``, all text, reasoning and tool calls that stand in it were told, and it had its closing event;
- what was changed harmlessly gives the same answer.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from adapters.anthropic.reader import MessagesReader
from adapters.conformance.judging_calls import event_fault
from adapters.http.bounds import Bounds
from adapters.http.chat import ChatReader
from adapters.http.client import HttpClient
from adapters.http.lines import LineTooLongError
from adapters.http.responses import ResponsesReader
from adapters.http.stream import AnswerReader, HttpRequest
from adapters.lmstudio.native import NativeChatReader
from adapters.ollama.reader import OllamaReader
from statemachine import AdapterProtocolError, StreamEvent, ToolCall

FOLDER: Final = Path(__file__).parent / "transcripts"
_HTTP: Final = HttpClient("http://server", bounds=Bounds.of({}))
_REQUEST: Final = HttpRequest("/", {}, {})
_MAKE: Final[Mapping[str, Callable[[], AnswerReader]]] = {
    "openai": lambda: ChatReader(_HTTP, _REQUEST),
    "lmstudio": lambda: ChatReader(_HTTP, _REQUEST),
    "anthropic": lambda: MessagesReader(_HTTP, _REQUEST),
    "ollama": lambda: OllamaReader(_HTTP, _REQUEST),
    "responses": lambda: ResponsesReader(_HTTP, _REQUEST),
    "native": lambda: NativeChatReader(_HTTP, _REQUEST),
}


@dataclass
class Frame:
    """One event of a stream, or one line. ``raw`` stands in place of it where it is none; ``fields`` are other lines before its data."""

    data: Any = None
    event: str | None = None
    raw: str | None = None
    fields: list[str] = field(default_factory=list)


@dataclass
class Transcript:
    """An answer. ``cut``: how many bytes of it come; ``harmless``: it must be read as it was before; ``lines``: without frames."""

    protocol: str
    frames: list[Frame]
    lines: bool = False
    newline: str = "\n"
    start: bytes = b""
    cut: int | None = None
    harmless: bool = True

    def body(self) -> bytes:
        """Its bytes."""
        whole = self.start + "".join(map(self._shown, self.frames)).replace("\n", self.newline).encode()
        return whole if self.cut is None else whole[: self.cut % len(whole)]

    def _shown(self, frame: Frame) -> str:
        if frame.raw is not None:
            return frame.raw
        data = frame.data if isinstance(frame.data, str) else json.dumps(frame.data)
        if self.lines:
            return f"{data}\n"
        lines = [*frame.fields, *([] if frame.event is None else [f"event: {frame.event}"]), f"data: {data}"]
        return "\n".join(lines) + "\n\n"


def load(path: Path) -> Transcript:
    """A recorded one."""
    protocol = path.stem.partition("_")[0]
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ndjson":
        return Transcript(protocol, [Frame(json.loads(line)) for line in text.splitlines()], lines=True)
    frames = []
    for block in filter(None, text.split("\n\n")):
        parts = dict(line.split(": ", 1) for line in block.split("\n"))
        data = parts["data"]
        frames.append(Frame(data if data == "[DONE]" else json.loads(data), parts.get("event")))
    return Transcript(protocol, frames)


# ---- what a reader makes of it, and what stands in it ----


@dataclass
class Answer:
    """``calls``: (name, arguments) of each tool call, in order. ``odd``: text stands where it can be read in more than one way."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    closed: bool = False
    odd: bool = False
    error: bool = False
    over: bool = False  # what comes after it is not read


def read(transcript: Transcript, pieces: Sequence[bytes]) -> list[StreamEvent]:
    """The events."""
    reader = _MAKE[transcript.protocol]()
    events: list[StreamEvent] = []
    try:
        for piece in pieces:
            if not reader.closed:
                events += reader.feed(piece)
        if not reader.closed:
            events += reader.finish()
    except LineTooLongError as error:
        events += reader.fail(AdapterProtocolError(str(error)))
    return events


def told(events: Sequence[StreamEvent]) -> Answer:
    """What the events say."""
    answer = Answer()
    calls: dict[int, list[str]] = {}
    for event in events:
        if event.type == "token":
            answer.text += str(event.data)
        elif event.type == "reasoning":
            answer.reasoning += str(event.data)
        elif isinstance(event.data, ToolCall):
            call = calls.setdefault(event.data.index, ["", ""])
            call[0] += event.data.name or ""
            call[1] += event.data.arguments
    answer.calls = [(name, arguments) for name, arguments in calls.values()]
    answer.closed = bool(events) and events[-1].type == "end"
    return answer


def written(transcript: Transcript) -> Answer:
    """What stands in the transcript, read by the protocol's plain words. Never what a reader of ours makes of it."""
    answer = Answer()
    for frame in transcript.frames:
        if frame.raw is None and not answer.over:
            _WRITTEN[transcript.protocol](answer, frame.data)
            error = _member(frame.data, "error")
            said = (
                _member(error, "message") if isinstance(error, Mapping) else error if isinstance(error, str) else None
            )
            answer.error |= bool(said) and said != "null"
    return answer


def _text(value: object, answer: Answer) -> str:
    if value is not None and not isinstance(value, str):
        answer.odd = True
    return value if isinstance(value, str) else ""


def _member(value: object, *names: str | int) -> Any:
    for name in names:
        if isinstance(value, Mapping) and isinstance(name, str):
            value = value.get(name)
        elif isinstance(value, list) and isinstance(name, int):
            value = value[name] if name < len(value) else None
        else:
            return None
    return value


def _written_openai(answer: Answer, data: Any) -> None:
    if data == "[DONE]":
        answer.closed = answer.over = True
        return
    choice = _member(data, "choices", 0)
    delta = _member(choice, "delta")
    index = _member(choice, "index")
    if isinstance(index, int) and not isinstance(index, bool) and index != 0:
        return  # another choice
    if not isinstance(choice, Mapping | None) or not isinstance(delta, Mapping | None) or _member(choice, "text"):
        answer.odd = True
    answer.text += _text(_member(delta, "content"), answer)
    answer.reasoning += _text(_member(delta, "reasoning_content"), answer)
    answer.closed |= bool(_member(choice, "finish_reason"))


def _written_anthropic(answer: Answer, data: Any) -> None:
    kind, delta = _member(data, "type"), _member(data, "delta")
    if kind == "content_block_delta":
        answer.odd |= not isinstance(delta, Mapping)
        answer.text += _text(_member(delta, "text"), answer)
        answer.reasoning += _text(_member(delta, "thinking"), answer)
    if kind == "content_block_start":
        answer.odd |= not isinstance(_member(data, "content_block"), Mapping)
        answer.text += _text(_member(data, "content_block", "text"), answer)
        answer.reasoning += _text(_member(data, "content_block", "thinking"), answer)
    answer.odd |= not isinstance(kind, str)
    answer.over |= kind == "message_stop"
    answer.closed |= answer.over or bool(_member(delta, "stop_reason"))


def _written_ollama(answer: Answer, data: Any) -> None:
    message = _member(data, "message")
    if not isinstance(message, Mapping | None):
        answer.odd = True
    answer.text += _text(_member(message, "content"), answer)
    answer.reasoning += _text(_member(message, "thinking"), answer)
    answer.over = answer.closed = _member(data, "done") is True
    answer.odd |= not isinstance(_member(data, "done"), bool | None)


def _written_responses(answer: Answer, data: Any) -> None:
    kind = _member(data, "type")
    if kind in ("response.output_text.delta", "response.refusal.delta"):
        answer.text += _text(_member(data, "delta"), answer)
    if kind in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
        answer.reasoning += _text(_member(data, "delta"), answer)
    if str(kind).startswith("response.") and str(kind).endswith((".delta", "output_item.done")):
        index = _member(data, "output_index")
        answer.odd |= not isinstance(index, int) or isinstance(index, bool)
    answer.odd |= not isinstance(kind, str)
    if kind in ("response.completed", "response.incomplete"):
        output = _member(data, "response", "output")
        answer.odd |= not isinstance(output, list) or any(not isinstance(item, Mapping) for item in output)
        answer.over = answer.closed = True


def _written_native(answer: Answer, data: Any) -> None:
    kind = _member(data, "type")
    if kind == "message.delta":
        answer.text += _text(_member(data, "content"), answer)
    if kind == "reasoning.delta":
        answer.reasoning += _text(_member(data, "content"), answer)
    answer.odd |= not isinstance(kind, str)
    answer.over |= kind == "chat.end"
    answer.closed |= answer.over


_WRITTEN: Final = {
    "responses": _written_responses,
    "native": _written_native,
    "openai": _written_openai,
    "lmstudio": _written_openai,
    "anthropic": _written_anthropic,
    "ollama": _written_ollama,
}


# ---- the grammar ----

Mutation = Callable[[Transcript, Random], None]
_VALUES: Final[Sequence[Any]] = (
    None,
    True,
    False,
    0,
    7,
    -1.5,
    "",
    "x",
    [],
    {},
    [1],
    {"a": 1},
    [{"type": "text", "text": "t"}],
    "null",
)
_GARBAGE: Final = ('data: {"choices": [\n\n', "data: <html>502</html>\n\n", '{"message": {\n', "<html>502</html>\n")


def _place(transcript: Transcript, rng: Random) -> int:
    """A place before the closing events."""
    return rng.randrange(max(1, len(transcript.frames) - 2))


def _comment(transcript: Transcript, rng: Random) -> None:
    lines = ("\n",) if transcript.lines else (": keep-alive\n\n", ":\n\n", "\n")
    transcript.frames.insert(rng.randrange(1, len(transcript.frames) + 1), Frame(raw=rng.choice(lines)))


def _stray_field(transcript: Transcript, rng: Random) -> None:
    if not transcript.lines:
        frame = rng.choice(transcript.frames)
        known = ("id: 7", "retry: 3000")  # the first line tells what the body is, so it is one that is known
        frame.fields.append(rng.choice(known if frame is transcript.frames[0] else (*known, "x-unknown: 1")))


def _objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for name, member in value.items():
            yield from _objects(member) if name not in ("arguments", "input") else ()
    elif isinstance(value, list):
        for member in value:
            yield from _objects(member)


def _any_object(transcript: Transcript, rng: Random) -> dict[str, Any]:
    """Any of the protocol's own: the arguments of a tool call are the caller's data."""
    found = [each for frame in transcript.frames for each in _objects(frame.data)]
    return rng.choice(found) if found else {}


def _extra(transcript: Transcript, rng: Random) -> None:
    _any_object(transcript, rng)[f"x_{rng.randrange(100)}"] = copy.deepcopy(rng.choice(_VALUES))


def _reordered(transcript: Transcript, rng: Random) -> None:
    chosen = _any_object(transcript, rng)
    members = list(chosen.items())
    rng.shuffle(members)
    chosen.clear()
    chosen.update(members)


def _lying_label(transcript: Transcript, rng: Random) -> None:
    """The event's name is another one than its data's type: the data is what counts."""
    frame = rng.choice(transcript.frames)
    if frame.raw is None and frame.data != "[DONE]":
        frame.event = rng.choice(("message", "ping", "chunk", "message_stop", "response.completed", "chat.end", "done"))


def _other_framing(transcript: Transcript, rng: Random) -> None:
    """Lines where frames are usual, and the other way round: what a body is called says nothing about it."""
    if all(frame.raw is None and not frame.fields for frame in transcript.frames):
        transcript.lines = not transcript.lines


def _crlf(transcript: Transcript, rng: Random) -> None:
    transcript.newline = "\r\n"


def _mark(transcript: Transcript, rng: Random) -> None:
    transcript.start = b"\xef\xbb\xbf"


def _missing(transcript: Transcript, rng: Random) -> None:
    transcript.harmless = False
    chosen = _any_object(transcript, rng)
    if chosen:
        del chosen[rng.choice(list(chosen))]


def _retyped(transcript: Transcript, rng: Random) -> None:
    transcript.harmless = False
    chosen = _any_object(transcript, rng)
    if chosen:
        chosen[rng.choice(list(chosen))] = copy.deepcopy(rng.choice(_VALUES))


def _repeated(transcript: Transcript, rng: Random) -> None:
    transcript.harmless = False
    place = _place(transcript, rng)
    transcript.frames.insert(place, copy.deepcopy(transcript.frames[place]))


def _garbage(transcript: Transcript, rng: Random) -> None:
    transcript.harmless = False
    ours = [text for text in _GARBAGE if transcript.lines != text.startswith("data:")]
    transcript.frames.insert(_place(transcript, rng), Frame(raw=rng.choice(ours)))


def _error(transcript: Transcript, rng: Random) -> None:
    transcript.harmless = False
    coded = {"message": "no", "type": "server_error", "code": rng.choice([None, 500, "x"])}
    bodies: Sequence[Any] = ("out of memory", {"message": "out of memory"}, coded)
    error = rng.choice(bodies)
    if transcript.protocol == "anthropic":
        frame = Frame({"type": "error", "error": {"type": "api_error", "message": "no"}}, "error")
    else:
        frame = Frame({"error": error}, rng.choice((None, "error")))
    transcript.frames.insert(_place(transcript, rng), frame)


def _cut(transcript: Transcript, rng: Random) -> None:
    transcript.harmless = False
    transcript.cut = rng.randrange(1, 100_000)


HARMLESS: Final[Sequence[Mutation]] = (
    _comment,
    _stray_field,
    _extra,
    _reordered,
    _crlf,
    _mark,
    _lying_label,
    _other_framing,
)
HARMFUL: Final[Sequence[Mutation]] = (_missing, _retyped, _retyped, _repeated, _garbage, _error, _cut)


# ---- the judge ----


def faults(transcript: Transcript, recorded: Transcript, rng: Random) -> Iterator[str]:
    """What is wrong with what the reader makes of it."""
    try:
        yield from _faults(transcript, recorded, rng)
    except Exception as error:
        yield f"it raises {error!r}"


def _faults(transcript: Transcript, recorded: Transcript, rng: Random) -> Iterator[str]:
    body = transcript.body()
    events = read(transcript, [body])
    closing = [event.type in ("end", "error") for event in events]
    if closing != [False] * (len(events) - 1) + [True]:
        yield f"it closes with {[event.type for event in events][-3:]}"
    yield from filter(None, map(event_fault, events))
    answer = told(events)
    if transcript.harmless and answer != told(read(recorded, [recorded.body()])):
        yield f"a harmless change gives another answer: {answer}"
    at = sorted(rng.randrange(len(body) + 1) for _ in range(rng.randrange(4)))
    cut = [body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)]
    if (again := told(read(transcript, cut))) != answer:
        yield f"cut into pieces at {at} it gives another answer: {again} for {answer}"
    if answer.closed:
        yield from _wrong_end(transcript, answer)


def _wrong_end(transcript: Transcript, answer: Answer) -> Iterator[str]:
    if transcript.cut is not None:
        return
    should = written(transcript)
    if should.error:
        yield "an error inside the stream counts as an end"
    if not should.odd and (should.text, should.reasoning) != (answer.text, answer.reasoning):
        yield f"what was told is {answer}, what stands there is {should}"
    if not should.odd and not should.closed:
        yield "it ends well without its closing event"


def mutated(recorded: Transcript, mutations: Sequence[tuple[Mutation, int]]) -> Transcript:
    """``recorded``, changed. Each mutation has a seed of its own, so that the others can be left out."""
    transcript = copy.deepcopy(recorded)
    for mutation, seed in mutations:
        mutation(transcript, Random(seed))
    return transcript


def attack(seed: int, recorded: Sequence[Transcript]) -> str | None:
    """One mutated transcript; the fewest mutations that break something, in words."""
    rng = Random(seed)
    chosen = rng.choice(recorded)
    pool = HARMLESS if rng.random() < 0.4 else [*HARMLESS, *HARMFUL]
    mutations = [(rng.choice(pool), rng.randrange(2**32)) for _ in range(rng.randrange(1, 5))]

    def broken(tried: Sequence[tuple[Mutation, int]]) -> str | None:
        return next(faults(mutated(chosen, tried), chosen, Random(seed)), None)

    if (found := broken(mutations)) is None:
        return None
    for mutation in list(mutations):
        if (less := broken([each for each in mutations if each is not mutation])) is not None:
            found = less
            mutations.remove(mutation)
    names = ", ".join(mutation.__name__.strip("_") for mutation, _ in mutations)
    lines = mutated(chosen, mutations).body().split(b"\n")
    changed = [line for line in lines if line not in chosen.body().split(b"\n")]
    return f"seed {seed}, {chosen.protocol}, {names}: {found}\n  changed: {changed}"


def recorded_transcripts() -> list[Transcript]:
    """All of the folder."""
    return [load(path) for path in sorted(FOLDER.iterdir())]


def campaign(count: int, start: int = 0) -> list[str]:
    """What ``count`` transcripts have found."""
    return [
        found for found in map(partial(attack, recorded=recorded_transcripts()), range(start, start + count)) if found
    ]


def main() -> int:
    """Run the campaign; exit code 1 with findings."""
    parser = argparse.ArgumentParser("python -m tests.conformance.wire")
    parser.add_argument("--transcripts", type=int, default=100_000)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    found = campaign(given.transcripts, given.start)
    for text in found[:20]:
        print(text, file=sys.stderr)
    print(f"{given.transcripts:,} transcripts, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
