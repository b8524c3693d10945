"""Find the model servers of this machine: LM Studio, Ollama and llama.cpp at the ports where they listen by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import trio

from statemachine.errors import AdapterError

from ..http.client import HttpClient

__all__ = ["FoundServer", "find_servers", "settings_document", "wait_for_servers"]

PROBE_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A server that answered as its kind does."""

    kind: str
    base_url: str


@dataclass(frozen=True, slots=True)
class _Probe:
    kind: str
    port: int
    path: str
    fits: Callable[[Mapping[str, Any]], bool]


def _lists_llamacpp(answer: Mapping[str, Any]) -> bool:
    rows = answer.get("data")
    owners = [row.get("owned_by") for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    return "llamacpp" in owners


_PROBES: Final = (
    _Probe("lmstudio", 1234, "/lmstudio-greeting", lambda answer: answer.get("lmstudio") is True),
    _Probe("ollama", 11434, "/api/version", lambda answer: isinstance(answer.get("version"), str)),
    _Probe("llamacpp", 8080, "/v1/models", _lists_llamacpp),
)


async def find_servers(ports: Mapping[str, int] | None = None) -> list[FoundServer]:
    """Return the servers on loopback, in a fixed order. ``ports`` replaces the default port of a kind."""
    found: dict[str, FoundServer] = {}
    async with trio.open_nursery() as nursery:
        for probe in _PROBES:
            nursery.start_soon(_try, probe, (ports or {}).get(probe.kind, probe.port), found)
    return [found[probe.kind] for probe in _PROBES if probe.kind in found]


async def wait_for_servers(seconds: float) -> list[FoundServer]:
    """Return the servers on loopback as soon as there is one; none after ``seconds``."""
    end = trio.current_time() + seconds
    for _ in count():
        if (found := await find_servers()) or trio.current_time() >= end:
            break
        await trio.sleep(PAUSE_SECONDS)
    return found


async def _try(probe: _Probe, port: int, found: dict[str, FoundServer]) -> None:
    url = f"http://127.0.0.1:{port}"
    http = HttpClient(url)
    try:
        if probe.fits(await http.json("GET", probe.path, seconds=PROBE_SECONDS)):
            found[probe.kind] = FoundServer(probe.kind, url)
    except AdapterError:
        return
    finally:
        await http.aclose()


def settings_document(servers: Sequence[FoundServer]) -> dict[str, Any]:
    """Return the configuration that serves these. They share one slot, because they share this machine's memory."""
    providers = {server.kind: {"kind": server.kind, "base_url": server.base_url} for server in servers}
    return {"providers": providers}
