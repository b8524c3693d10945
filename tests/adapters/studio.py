"""A small LM Studio on loopback whose every word can be replaced: what the tests of faults around loading share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters import LMStudioAdapter
from statemachine import AdapterConfig, CallOptions, StreamEvent

from .loopback import Loopback, Reply, Request, json_reply, loopback, stream_reply
from .scripted import DONE, chunk

LIST, LOAD, UNLOAD, CHAT = "/api/v1/models", "/api/v1/models/load", "/api/v1/models/unload", "/v1/chat/completions"
PROMPT = [{"role": "user", "content": "hi"}]


@dataclass
class Studio:
    """``instances``: what is loaded, by id, as (key, configuration). ``said``: answers that replace the next ones of a path."""

    instances: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=lambda: {"m": {"type": "llm"}, "n": {"type": "llm"}})
    said: dict[str, list[Reply | Callable[[], Reply]]] = field(default_factory=dict)
    old_rows: list[dict[str, Any]] | None = None

    def handle(self, request: Request) -> Reply:
        if waiting := self.said.get(request.path):
            said = waiting.pop(0)
            return said if isinstance(said, Reply) else said()
        known = {LIST: self._list, LOAD: self._load, UNLOAD: self._unload, CHAT: self._chat}
        if request.path == "/api/v0/models" and self.old_rows is not None:
            return json_reply({"data": self.old_rows})
        if request.path not in known:
            return json_reply({"error": f"Unexpected endpoint or method. ({request.method} {request.path})"})
        return known[request.path](request)

    def load(self, key: str, instance_id: str | None = None, **config: Any) -> str:
        free = (f"{key}:{n}" if n > 1 else key for n in range(1, 99))
        instance_id = instance_id or next(name for name in free if name not in self.instances)
        self.instances[instance_id] = (key, config)
        return instance_id

    def _list(self, request: Request) -> Reply:
        rows = []
        for key, row in self.rows.items():
            loaded = [{"id": i, "config": config} for i, (k, config) in self.instances.items() if k == key]
            rows.append({"key": key, **row, "loaded_instances": loaded})
        return json_reply({"models": rows})

    def _load(self, request: Request) -> Reply:
        body = request.json
        key = body.pop("model")
        if key.partition("@")[0] not in self.rows:
            return json_reply({"error": {"type": "model_not_found", "message": f"Model {key} not found"}}, 404)
        instance_id = self.load(key.partition("@")[0], key if "@" in key else None, **body)
        return json_reply({"instance_id": instance_id, "status": "loaded"})

    def _unload(self, request: Request) -> Reply:
        if self.instances.pop(request.json["instance_id"], None) is None:
            return json_reply({"error": {"type": "model_not_found", "message": "is not loaded."}}, 404)
        return json_reply({})

    def _chat(self, request: Request) -> Reply:
        return stream_reply(chunk({"content": request.json["model"]}, "stop"), DONE)


@asynccontextmanager
async def studio(**more: Any) -> AsyncIterator[tuple[Studio, Loopback]]:
    state = Studio(**more)
    async with loopback(state.handle) as server:
        yield state, server


def make(server: Loopback, model: str = "m", **options: Any) -> LMStudioAdapter:
    return LMStudioAdapter(AdapterConfig("lmstudio", model, {"base_url": server.url, **options}))


async def answer(adapter: LMStudioAdapter, **options: Any) -> list[StreamEvent]:
    return [event async for event in adapter.call(PROMPT, CallOptions(**options))]


def paths(server: Loopback) -> list[str]:
    return [request.path for request in server.requests if request.path not in (LIST, "/api/v0/models")]
