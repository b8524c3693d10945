"""``/v1/embeddings`` and ``/api/v0/embeddings``: made-up vectors of length 1, always the same for the same text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulation.timing.latency import token_count

from ..engine.engine import LoadFailedError, Progress
from ..engine.instance import CutError, Job, Piece, ServerInstance
from ..http import Body, json_response
from . import errors
from .bodies import read_fields
from .engine import LMStudioEngine
from .fields import Fields

__all__ = ["EmbeddingEndpoints"]

DIMENSIONS: Final = 768
MOST_TEXTS: Final = 2048


class _Nothing:
    """Takes an answer without tokens."""

    reading: Progress | None = None

    async def add(self, pieces: Sequence[Piece]) -> bool:
        return True


class EmbeddingEndpoints:
    """Of one server."""

    def __init__(self, server: LMStudioEngine) -> None:
        self._server = server

    def routes(self) -> list[Route]:
        """Return what the server's version has."""
        paths = ["/v1/embeddings", *(["/api/v0/embeddings"] if self._server.settings.profile.v0 else [])]
        return [Route(path, self._embed, methods=["POST"]) for path in paths]

    async def _embed(self, request: Request) -> Response:
        fields = await read_fields(request)
        name = fields.required_string("model")
        texts = _texts(fields)
        tokens = sum(map(token_count, texts))
        instance = await self._instance(name, fields.seconds("ttl"))
        job = Job(tokens, (), self._server.profile.pace("embed", name, tokens))
        try:
            await self._server.generate(instance, job, _Nothing())
        except CutError as error:
            self._server.counters.cut += 1
            raise errors.engine_error(str(error)) from error
        self._server.counters.answered += 1
        rows = [{"object": "embedding", "embedding": _vector(text), "index": n} for n, text in enumerate(texts)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        body: Body = {"object": "list", "data": rows, "model": instance.id, "usage": usage}
        return json_response(200, body)

    async def _instance(self, name: str, ttl: float | None) -> ServerInstance:
        found = self._server.locate(name, "embedding")
        if isinstance(found, ServerInstance):
            return found
        try:
            return await self._server.jit.load(found, {}, ttl=self._server.settings.default_ttl if ttl is None else ttl)
        except LoadFailedError as error:
            raise errors.jit_load_failed(name, str(error)) from error


def _texts(fields: Fields) -> tuple[str, ...]:
    """Return what is to be embedded: a text, or several. Raises Refusal."""
    fields.required("input")
    texts = fields.strings("input", most=MOST_TEXTS)
    if not texts:
        raise errors.invalid_type("input", "a string or an array of strings, not empty")
    return texts


def _vector(text: str) -> list[float]:
    random = Random(repr(text))
    values = [random.gauss(0.0, 1.0) for _ in range(DIMENSIONS)]
    length = math.sqrt(sum(value * value for value in values))
    return [round(value / length, 8) for value in values]
