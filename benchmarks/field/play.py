"""A workload, played by threads on any manager: each call is made when those before it are over, and again when it fails.

It needs only Python: peers run it in environments of their own. All times in it are virtual seconds: real ones times ``speed``.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

__all__ = ["Call", "CutError", "Plan", "chat", "play", "read_plan"]

ATTEMPTS: Final = 20
FIRST_PAUSE_SECONDS: Final = 0.5
MOST_PAUSE_SECONDS: Final = 8.0
"""As in ``simulation.drivers.uncoordinated``: a call that fails is made again after a pause that doubles."""
CHARACTERS_PER_TOKEN: Final = 4


class CutError(Exception):
    """The answer ended before it was whole."""


@dataclass(frozen=True)
class Call:
    """One call of an agent. ``after``: ids of calls that must be over; ``delay``: seconds after them."""

    id: int
    agent: str
    model: str
    prompt_tokens: int
    output_tokens: int
    after: tuple[int, ...]
    delay: float

    @property
    def prompt(self) -> str:
        """A text of this number of tokens, as the mock server counts them (and real ones nearly so: a short word is one token)."""
        characters = self.prompt_tokens * CHARACTERS_PER_TOKEN
        return (f"{self.id} " + "and " * self.prompt_tokens)[:characters]


@dataclass(frozen=True)
class Plan:
    """What to play. ``parallel``: answers that the server makes at once; ``settings``: for the manager; ``deadline``: then it is over.

    ``parameters`` go with every call. ``words``: the server's tokens are words, so that a cut answer can be told by counting them.
    """

    url: str
    server: str
    speed: float
    parallel: int
    deadline: float
    settings: dict[str, Any]
    parameters: dict[str, Any]
    words: bool
    calls: tuple[Call, ...]

    def real(self, seconds: float) -> float:
        """Real seconds."""
        return seconds / self.speed


@dataclass
class Made:
    """One call: seconds from the start; ``finished`` is None where it was never answered. ``failures``: why attempts failed."""

    id: int
    arrived: float
    finished: float | None = None
    failures: list[str] = field(default_factory=list)


def read_plan() -> Plan:
    """The plan on standard input."""
    given = json.load(sys.stdin)
    calls = tuple(Call(**{**call, "after": tuple(call["after"])}) for call in given.pop("calls"))
    return Plan(calls=calls, **given)


def play(plan: Plan, answer: Callable[[Call], str], *, at_end: Callable[[], object] = lambda: None) -> None:
    """Make every call by ``answer``, which returns the text or raises; print the results as JSON, call ``at_end``, end the process."""
    player = _Player(plan, answer)
    player.run()
    at_end()
    print(json.dumps({"origin": player.origin, "calls": [asdict(made) for made in player.made.values()]}), flush=True)
    os._exit(0)  # threads may still wait for what never comes


class _Player:
    def __init__(self, plan: Plan, answer: Callable[[Call], str]) -> None:
        self.plan = plan
        self.answer = answer
        self.made: dict[int, Made] = {}
        self.unfinished = {call.id: len(call.after) for call in plan.calls}
        self.followers: dict[int, list[Call]] = {}
        for call in plan.calls:
            for earlier in call.after:
                self.followers.setdefault(earlier, []).append(call)
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.left = len(plan.calls)

    def run(self) -> None:
        self.origin = time.monotonic()
        for call in self.plan.calls:
            if not call.after:
                self._begin(call)
        self.over.wait(self.plan.real(self.plan.deadline))

    def _now(self) -> float:
        return (time.monotonic() - self.origin) * self.plan.speed

    def _begin(self, call: Call) -> None:
        threading.Thread(target=self._make, args=(call,), daemon=True).start()

    def _make(self, call: Call) -> None:
        time.sleep(self.plan.real(call.delay))
        made = self.made[call.id] = Made(call.id, self._now())
        pause = FIRST_PAUSE_SECONDS
        for _ in range(ATTEMPTS):
            try:
                text = self.answer(call)
                if self.plan.words and len(text.split()) != call.output_tokens:
                    raise CutError
                made.finished = self._now()
                break
            except Exception as error:
                made.failures.append(type(error).__name__)
            time.sleep(self.plan.real(pause))
            pause = min(2 * pause, MOST_PAUSE_SECONDS)
        self._end(call)

    def _end(self, call: Call) -> None:
        with self.lock:
            ready = []
            for follower in self.followers.get(call.id, ()):
                self.unfinished[follower.id] -= 1
                if not self.unfinished[follower.id]:
                    ready.append(follower)
            self.left -= 1
            if not self.left:
                self.over.set()
        for follower in ready:
            self._begin(follower)


def chat(url: str, call: Call, **parameters: Any) -> str:
    """One streamed chat, as any client makes it. Raises CutError, OSError, http.client.HTTPException."""
    parts = urlsplit(url)
    message = {"role": "user", "content": call.prompt}
    body = {"model": call.model, "messages": [message], "max_tokens": call.output_tokens, "stream": True, **parameters}
    headers = {"Content-Type": "application/json", "X-Agent-ID": call.agent}
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise CutError(response.status)
        text = ""
        for line in response:
            if line.startswith(b"data: [DONE]"):
                return text
            if line.startswith(b"data: "):
                text += _text(json.loads(line[6:]))
        raise CutError("no end")
    finally:
        connection.close()


def _text(chunk: dict[str, Any]) -> str:
    if "error" in chunk:
        raise CutError(str(chunk["error"]))
    return "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
