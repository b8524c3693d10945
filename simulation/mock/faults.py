"""What the mock server is told to do wrong. Each order is carried out once, in the order given."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from statemachine.checks import check_count, check_word

__all__ = ["STREAM_FAULTS", "BrokenStream", "CannedAnswer", "Faults", "StreamFault"]

StreamFault: TypeAlias = Literal["error", "named_error", "truncate", "drop", "stall", "crash"]
"""``error``: a ``data: {"error": ...}`` frame ends the stream; ``named_error``: an ``event: error`` frame does, as in older
builds; ``truncate``: the body ends properly, without a closing chunk or ``[DONE]``; ``drop``: the connection is cut; ``stall``: nothing
more comes until the client leaves or the model is unloaded; ``crash``: the instance is gone, and every answer that it makes ends in
an error."""

STREAM_FAULTS: Final[tuple[str, ...]] = get_args(StreamFault)


@dataclass(frozen=True, slots=True)
class BrokenStream:
    """One answer that goes wrong in the place of what follows its first ``after_chunks`` chunks of text."""

    how: StreamFault
    after_chunks: int
    message: str


@dataclass(frozen=True, slots=True)
class CannedAnswer:
    """An answer to one request, whatever it asks."""

    path: str
    status: int
    body: object


class Faults:
    """The orders not yet carried out. ``hide_instances``: the list of the native API shows none, as some builds did."""

    def __init__(self) -> None:
        self.hide_instances = False
        self._loads: deque[str] = deque()
        self._streams: deque[BrokenStream] = deque()
        self._answers: list[CannedAnswer] = []

    def fail_next_load(self, message: str = "Failed to load model") -> None:
        """Let the next load, explicit or not, fail with ``message`` once its time is over."""
        self._loads.append(message)

    def break_next_stream(
        self,
        how: StreamFault,
        *,
        after_chunks: int = 0,
        message: str = "The model has crashed without additional information.",
    ) -> None:
        """Break the next streamed chat after ``after_chunks`` chunks of text (all of them: in place of the closing chunk).

        ``message`` is for the kinds that send one. Raises ConfigurationError.
        """
        check_word("how", how, STREAM_FAULTS)
        check_count("after_chunks", after_chunks, least=0)
        self._streams.append(BrokenStream(how, after_chunks, message))

    def answer_next(self, path: str, status: int, body: object) -> None:
        """Answer the next request to ``path`` with ``status`` and ``body``, as JSON, whatever it asks."""
        self._answers.append(CannedAnswer(path, status, body))

    def take_load(self) -> str | None:
        """Return the message with which the load that begins now is to fail."""
        return self._loads.popleft() if self._loads else None

    def take_stream(self) -> BrokenStream | None:
        """Return what is to happen to the stream that begins now."""
        return self._streams.popleft() if self._streams else None

    def take_answer(self, path: str) -> CannedAnswer | None:
        """Return the answer prepared for a request to ``path``."""
        for index, answer in enumerate(self._answers):
            if answer.path == path:
                return self._answers.pop(index)
        return None
