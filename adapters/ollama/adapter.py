"""Ollama: load a model, chat with it over ``/api/chat``, unload it again.

Ollama loads by itself what a request asks for and unloads what was idle for five minutes. What is loaded here stays until it is unloaded
here (``keep_alive``), so that the manager decides; what another program loaded keeps its own time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, ClassVar, Final

from statemachine.checks import check_bool, check_count, is_number, shown
from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import ConfigurationError

from ..http.bounds import Bounds
from ..http.client import HttpClient
from ..http.forward import with_options
from ..http.health import Health
from ..http.library import Transport
from ..http.options import HTTP_CHECKS, Check, check_options, token_of
from ..http.stream import stream_answer
from ..residency import RESIDENCY_CHECKS, Owned, Residency
from .reader import OllamaReader
from .request import chat_request
from .server import FOREVER, OllamaServer

__all__ = ["RUNNER_CHECKS", "OllamaAdapter"]

LIST_LAG_SECONDS: Final = 2.0
"""How long the list may be behind what the server has answered."""


def _check_keep_alive(path: str, value: object) -> None:
    if isinstance(value, str) and value:
        return
    if not is_number(value):
        raise ConfigurationError(path, "must be a number of seconds or a text such as 10m", shown(value))


RUNNER_CHECKS: Final[Mapping[str, Check]] = {
    "main_gpu": lambda path, value: check_count(path, value, least=0),
    "num_batch": check_count,
    "num_ctx": check_count,
    "num_gpu": lambda path, value: check_count(path, value, least=0),
    "num_thread": check_count,
    "use_mmap": check_bool,
}
"""The options that a model is loaded with: a request with other ones makes the server load it again."""

_CHECKS: Final[Mapping[str, Check]] = {
    **HTTP_CHECKS,
    **RESIDENCY_CHECKS,
    **RUNNER_CHECKS,
    "keep_alive": _check_keep_alive,
}


class OllamaAdapter:
    """One model of one Ollama server. Raises ConfigurationError.

    ======================= ==============================================================================================
    option                  meaning
    ======================= ==============================================================================================
    ``base_url``            the server; default ``http://localhost:11434``
    ``api_token``           sent as a bearer token; default: the environment's ``OLLAMA_API_KEY``, else none
    ``num_ctx``, ...        what the model is loaded with, and sent with every request, because another value would make the
                            server load it again: also ``main_gpu``, ``num_batch``, ``num_gpu``, ``num_thread``, ``use_mmap``
    ``keep_alive``          how long the model stays in memory when idle; default -1: until it is unloaded
    the time-outs           and bounds of ``http.bounds``; ``load_timeout``, ``unload_timeout``, ``on_foreign`` of ``residency``
    ======================= ==============================================================================================

    ``transport`` replaces the network, for tests and simulations; it is not closed here.
    """

    is_local: ClassVar[bool] = True
    default_base_url: ClassVar[str] = "http://localhost:11434"
    option_names: ClassVar[frozenset[str]] = frozenset(_CHECKS)

    def __init__(self, config: AdapterConfig, *, transport: Transport | None = None) -> None:
        options = config.options
        check_options(options, _CHECKS)
        self.config: Final = config
        self._runner_options: Final = {name: options[name] for name in RUNNER_CHECKS if name in options}
        self._keep_alive: Final = options.get("keep_alive", FOREVER)
        self._http: Final = HttpClient(
            options.get("base_url", self.default_base_url),
            token=token_of(options, "OLLAMA_API_KEY"),
            bounds=Bounds.of(options),
            transport=transport,
        )
        self._server: Final = OllamaServer(self._http, config.model_id, self._runner_options, self._keep_alive)
        self._residency: Final = Residency(
            self._server,
            f"{self._http.server}: {config.model_id}",
            options,
            config=self._runner_options,
            list_lag=LIST_LAG_SECONDS,
            place=Owned(self._http.server, config.model_id),
            loads_on_call="alike",
        )

    async def start(self) -> None:
        """Use the model if it is loaded with these options, or load it. Raises AdapterError."""
        await self._residency.start()

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
        more: dict[str, Any] = {"keep_alive": self._keep_alive} if self._residency.owned else {}
        request = chat_request(self._name, prompt, options, self._runner_options, **more)
        return self._residency.watched(lambda: stream_answer(self._http, request, OllamaReader(self._http, request)))

    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Pass ``request`` on to the model, and the answer's bytes back. Raises AdapterError.

        What the model is loaded with is added to ``options`` of a request to Ollama's own paths, where it does not say so itself.
        """
        if self._runner_options and request.path.startswith("/api/"):
            request = replace(request, body=with_options(request.body, self._runner_options), model_at=None)
        return self._residency.forward(self._http, request, self._name)

    @property
    def _name(self) -> str:
        return self._residency.id or self.config.model_id
