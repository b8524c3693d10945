"""How far the load of a model is, as the router tells it: ``GET /models/sse`` sends an event for every change."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from statemachine.errors import AdapterProtocolError
from statemachine.foreign import ForeignJSONError, read_json
from statemachine.text import fit_to_show

from ..http.bounds import NAME_LIMIT_CHARACTERS
from ..http.client import HttpClient, payload_of
from ..http.lines import LineTooLongError
from ..http.sse import SSEDecoder
from .server import LlamaCppServer

__all__ = ["LoadProgress", "load_progress"]

_ENDS: Final = ("loaded", "unloaded")


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """``state`` is ``loading``, ``loaded`` or ``unloaded``; while loading there are a ``stage`` and how much of it is ``done`` (0 to 1)."""

    state: str
    stage: str = ""
    done: float | None = None


async def load_progress(http: HttpClient, server: LlamaCppServer, model: str) -> AsyncGenerator[LoadProgress, None]:
    """Yield what is told of ``model`` until it is loaded or has failed; at once if it is loaded. Close it in any case. Raises AdapterError.

    Servers without these events answer with an error: ModelNotFoundError, as for every path that they do not know.
    """
    bounds, patience = http.bounds, http.patience()
    decoder = SSEDecoder(line_limit=bounds.max_line_bytes, event_limit=bounds.max_event_bytes)
    async with http.open("GET", "/models/sse", b"", {}, patience) as answer:
        if not 200 <= answer.status < 300:
            raise http.failure(answer, payload_of(await answer.read(patience)))
        if any(server.fits(row) and row.state == "loaded" for row in await server.list()):
            yield LoadProgress("loaded")
            return
        while (piece := await answer.piece(patience)) is not None:
            try:
                told = [_progress(event.data, model) for event in decoder.feed(piece)]
            except LineTooLongError as error:
                raise AdapterProtocolError(f"{http.server}: {error}") from None
            for progress in filter(None, told):
                yield progress
                if progress.state in _ENDS:
                    return
            patience.event_seen()


def _progress(data: str, model: str) -> LoadProgress | None:
    """Return the progress that one event tells, if it is about ``model``."""
    try:
        event = read_json(data)
    except ForeignJSONError:
        return None
    if not isinstance(event, Mapping) or event.get("model") != model or not isinstance(event.get("data"), Mapping):
        return None
    state, progress = event["data"].get("status"), event["data"].get("progress")
    if not isinstance(state, str):
        return None
    given: Mapping[str, Any] = progress if isinstance(progress, Mapping) else {}
    stage, done = given.get("current"), given.get("value")
    part = float(done) if isinstance(done, (int, float)) and not isinstance(done, bool) and 0 <= done <= 1 else None
    return LoadProgress(
        fit_to_show(state, NAME_LIMIT_CHARACTERS),
        fit_to_show(stage, NAME_LIMIT_CHARACTERS) if isinstance(stage, str) else "",
        part,
    )
