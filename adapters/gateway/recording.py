"""Record the workload: who asked when for how many tokens of which model, after what. No text is kept.

The file is a trace in the simulator's own format (docs/traces.md), so ``llm-slots compare --trace FILE`` tells what another policy would
have done. A session is an agent. A call depends on those of its session that had ended when it was asked for and that no other ended call
came after; what lies between is the agent's think time. A call is written when its answer is complete; other calls are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from statemachine.journal.lines import JsonLines
from statemachine.text import fit_to_show

from .tokens import TokenMeter

if TYPE_CHECKING:
    pass

__all__ = ["Recorder", "Recording"]

HEADER: Final = {"schema": "llm-slot-trace", "version": 1}
SESSIONS: Final = 4096
"""How many sessions are remembered; a forgotten one begins anew."""
NAME_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class _Ended:
    number: int
    end: float


@dataclass(frozen=True, slots=True)
class Recording:
    """One call that is under way. ``meter`` is fed with its answer; :meth:`complete` is called when that is whole."""

    recorder: Recorder
    agent: str
    model: str
    asked: float
    after: tuple[_Ended, ...]
    meter: TokenMeter

    def complete(self) -> None:
        """Write the call down."""
        self.recorder.answered(self)


class Recorder(JsonLines):
    """Writes the trace until the end of its ``with`` block. Raises OSError where the file cannot be made, or is there already."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, what="trace", goes_on="gateway")
        self._began: float | None = None
        self._calls = 0
        self._last: dict[str, tuple[_Ended, ...]] = {}  # of each session: the ended calls that no other one came after
        self.write_line(HEADER)

    def asked(self, agent: str, model: str, request_bytes: int) -> Recording:
        """Begin the record of a request that has come."""
        now = trio.current_time()
        if self._began is None:
            self._began = now
        return Recording(self, agent, model, now, self._last.get(agent, ()), TokenMeter(request_bytes))

    def answered(self, call: Recording) -> None:
        """Write the call down, whose answer is complete."""
        now, number = trio.current_time(), self._calls
        self._calls += 1
        later = [ended for ended in self._last.pop(call.agent, ()) if ended.end > call.asked]
        self._last[call.agent] = (*later, _Ended(number, now))
        if len(self._last) > SESSIONS:
            del self._last[next(iter(self._last))]
        self.write_line(self._row(call, number))

    def _row(self, call: Recording, number: int) -> dict[str, Any]:
        assert self._began is not None, "a call was asked for"
        tokens = call.meter.tokens()
        place: dict[str, Any] = {"arrival": round(call.asked - self._began, 6)}
        if call.after:
            last = max(ended.end for ended in call.after)
            place = {"depends_on": [e.number for e in call.after], "think_time": round(call.asked - last, 6)}
        return {
            "session": call.agent,
            "agent": call.agent,
            "call": number,
            **place,
            "model": fit_to_show(call.model, NAME_LIMIT),
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.output,
            "cached_tokens": tokens.cached,
        }
