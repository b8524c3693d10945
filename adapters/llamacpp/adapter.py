"""llama.cpp's server: load a model into the router, chat with it, unload it again.

The router loads by itself what a chat asks for, and evicts what was used longest ago. Here that is switched off for every request, so that
a model that is gone is noticed, and the manager decides what is loaded next. A load that finds every place taken by a busy model is
refused; it is asked for again until there is room.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import ClassVar, Final

from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.config.forward import ForwardRequest, ForwardResponse

from ..http.bounds import Bounds
from ..http.chat import stream_chat
from ..http.client import HttpClient
from ..http.health import Health
from ..http.library import Transport
from ..http.messages import CHAT_PATH, chat_request
from ..http.options import HTTP_CHECKS, check_options, token_of
from ..residency import RESIDENCY_CHECKS, Owned, Residency
from .progress import LoadProgress, load_progress
from .server import LlamaCppServer

__all__ = ["LlamaCppAdapter"]

LIST_LAG_SECONDS: Final = 2.0
"""How long the list may be behind what the server has answered."""
_CHECKS: Final = {**HTTP_CHECKS, **RESIDENCY_CHECKS}


class LlamaCppAdapter:
    """One model of one llama.cpp server, which may be a router. Raises ConfigurationError.

    Options: ``base_url``, ``api_token`` (default: the environment's ``LLAMA_API_KEY``) and the time-outs and bounds of
    ``http.bounds``; ``load_timeout``, ``unload_timeout`` and ``on_foreign`` of ``residency``. What a model is loaded with stands in the
    router's own presets. ``transport`` replaces the network, for tests and simulations; it is not closed here.
    """

    is_local: ClassVar[bool] = True
    default_base_url: ClassVar[str] = "http://localhost:8080"
    option_names: ClassVar[frozenset[str]] = frozenset(_CHECKS)

    def __init__(self, config: AdapterConfig, *, transport: Transport | None = None) -> None:
        options = config.options
        check_options(options, _CHECKS)
        self.config: Final = config
        self._http: Final = HttpClient(
            options.get("base_url", self.default_base_url),
            token=token_of(options, "LLAMA_API_KEY"),
            bounds=Bounds.of(options),
            transport=transport,
        )
        self._server: Final = LlamaCppServer(self._http, config.model_id)
        self._residency: Final = Residency(
            self._server,
            f"{self._http.server}: {config.model_id}",
            options,
            list_lag=LIST_LAG_SECONDS,
            place=Owned(self._http.server, config.model_id),
        )

    async def start(self) -> None:
        """Use the model if it is loaded, or load it; wait while it is being loaded, and for room. Raises AdapterError."""
        await self._residency.start()

    def progress(self) -> AsyncGenerator[LoadProgress, None]:
        """Yield what the router tells of the load, until the model is loaded or has failed. Raises AdapterError.

        It is for a task beside the start.
        """
        return load_progress(self._http, self._server, self.config.model_id)

    async def shutdown(self) -> None:
        """Unload the model if it was loaded here. Raises AdapterError if it may be left behind."""
        try:
            await self._residency.shutdown()
        finally:
            await self._http.aclose()

    async def recover(self) -> list[str]:
        """Unload what an earlier run has left of this model; return the instances' ids. Raises AdapterError."""
        return await self._residency.recover()

    async def health(self) -> Health:
        """Return whether the server answers, and has the model loaded."""
        return await self._residency.health()

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Stream the model's answer. Raises ConfigurationError at once; every later failure is the stream's ``error``."""
        request = chat_request(self._name, prompt, options, path=f"{CHAT_PATH}?autoload=false")
        return self._residency.watched(lambda: stream_chat(self._http, request))

    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Pass ``request`` on to the model, and the answer's bytes back. Raises AdapterError."""
        path, _, query = request.path.partition("?")
        request = replace(request, path="?".join([path, "&".join(filter(None, ["autoload=false", query]))]))
        return self._residency.forward(self._http, request, self._name)

    @property
    def _name(self) -> str:
        return self._residency.id or self.config.model_id
