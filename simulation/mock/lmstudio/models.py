"""The endpoints that list, load, unload and download models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..engine.engine import LoadFailedError
from ..engine.instance import ServerInstance
from ..http import Body, json_response
from . import errors, listings
from .bodies import read_fields
from .catalogue import DownloadedModel, described
from .downloads import Downloads
from .engine import LMStudioEngine

__all__ = ["ModelEndpoints"]

LOAD_KEYS: Final = (
    "model",
    "context_length",
    "eval_batch_size",
    "flash_attention",
    "num_experts",
    "offload_kv_cache_to_gpu",
    "parallel",
    "echo_load_config",
)
MOST_PARALLEL: Final = 1024


class ModelEndpoints:
    """Of one server."""

    def __init__(self, server: LMStudioEngine) -> None:
        self._server = server
        self._settings = server.settings
        self._downloads = Downloads(server)

    def routes(self) -> list[Route]:
        """Return what the server's version has."""
        version = self._settings.profile
        routes = [
            Route("/lmstudio-greeting", self._greet),
            Route("/v1/models", self._list_openai),
            Route("/v1/models/{id:path}", self._one_openai),
        ]
        if version.v0:
            routes += [Route("/api/v0/models", self._list_v0), Route("/api/v0/models/{id:path}", self._one_v0)]
        if version.v1:
            routes += [
                Route("/api/v1/models", self._list),
                Route("/api/v1/models/load", self._load, methods=["POST"]),
                Route("/api/v1/models/unload", self._unload, methods=["POST"]),
                Route("/api/v1/models/download", self._download, methods=["POST"]),
                Route("/api/v1/models/download/status/{job_id}", self._download_status),
            ]
        return routes

    async def _greet(self, request: Request) -> Response:
        return json_response(200, {"lmstudio": True})

    # ---- native, since 0.4 ----

    async def _list(self, request: Request) -> Response:
        self._downloads.settle()
        now = self._server.now() if self._settings.show_ttl else None
        rows = [
            listings.v1_row(model, self._listed(model), now) for model in map(described, self._server.models.values())
        ]
        return self._native({"models": rows})

    def _listed(self, model: DownloadedModel) -> list[ServerInstance]:
        """Return its instances that can be unloaded, or are just being so."""
        if self._server.faults.hide_instances:
            return []
        resident = self._server.resident.values()
        return [i for i in resident if i.model.key == model.key and i.state != "loading"]

    async def _load(self, request: Request) -> Response:
        fields = await read_fields(request, strict=self._settings.strict_keys)
        fields.only(LOAD_KEYS)
        name = fields.required_string("model")
        model = self._model(name)
        if model is None:
            raise errors.not_downloaded(name)
        bounds = (
            ("context_length", model.max_context_length),
            ("eval_batch_size", 2**20),
            ("num_experts", 1024),
            ("parallel", MOST_PARALLEL),
        )
        given = {key: fields.integer(key, 1, most) for key, most in bounds}
        given |= {key: fields.flag(key, default=True) for key in ("flash_attention", "offload_kv_cache_to_gpu")}
        echo = fields.flag("echo_load_config")
        config = {key: value for key, value in given.items() if value is not None}
        try:
            instance = await self._server.load(model, config)
        except LoadFailedError as error:
            raise errors.load_failed(self._settings.load_failure_status, str(error)) from error
        return self._native(listings.loaded(instance, model, echo_config=echo))

    async def _unload(self, request: Request) -> Response:
        instance_id = (await read_fields(request)).required_string("instance_id")
        instance = self._server.resident.get(instance_id)
        if instance is not None and instance.state == "loading" and self._settings.cancel_loading:
            instance.loading.cancel()
        elif instance is None or instance.state != "loaded":
            raise errors.instance_not_loaded(instance_id)
        else:
            await self._server.unload(instance)
        return self._native({"instance_id": instance_id})

    async def _download(self, request: Request) -> Response:
        fields = await read_fields(request, strict=self._settings.strict_keys)
        fields.only(("model", "quantization"))
        fields.string("quantization")
        return self._native(self._downloads.begin(fields.required_string("model")))

    async def _download_status(self, request: Request) -> Response:
        return self._native(self._downloads.status(request.path_params["job_id"]))

    # ---- native, before 0.4 ----

    async def _list_v0(self, request: Request) -> Response:
        return json_response(200, {"object": "list", "data": list(self._v0_rows())})

    async def _one_v0(self, request: Request) -> Response:
        wanted = request.path_params["id"]
        row = next((row for row in self._v0_rows() if row["id"] == wanted), None)
        if row is None:
            raise errors.invalid_model(404, wanted, self._names())
        return json_response(200, row)

    def _v0_rows(self) -> Iterable[Body]:
        """Return a row for each model, and one for each further instance. Without just-in-time loading, only of what is loaded."""
        for model in map(described, self._server.models.values()):
            instances = [i for i in self._server.resident.values() if i.model.key == model.key]
            by_id = {instance.id: instance for instance in instances}
            ids = by_id if by_id or not self._settings.jit else {model.key: None}
            for id_, instance in ids.items():
                yield listings.v0_row(model, id_, instance)

    # ---- OpenAI ----

    async def _list_openai(self, request: Request) -> Response:
        return json_response(200, listings.openai_list(self._names()))

    async def _one_openai(self, request: Request) -> Response:
        wanted = request.path_params["id"]
        if wanted not in self._names():
            raise errors.invalid_model(404, wanted, self._names())
        return json_response(200, listings.openai_row(wanted))

    def _names(self) -> list[str]:
        """Return what a request may name."""
        self._downloads.settle()
        jit = self._settings.jit
        return list(self._server.models) if jit else [instance.id for instance in self._server.loaded]

    def _model(self, key: str) -> DownloadedModel | None:
        self._downloads.settle()
        model = self._server.models.get(key)
        return None if model is None else described(model)

    def _native(self, body: Body) -> Response:
        return json_response(200, body, indent=self._settings.indent)
