"""Any OpenAI-compatible endpoint: OpenAI itself, and the many that speak like it. Nothing is loaded or unloaded there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import ClassVar, Final

from statemachine.checks import check_word
from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import AdapterError, ConfigurationError

from .http.bounds import Bounds
from .http.chat import stream_chat
from .http.client import HttpClient
from .http.forward import forward
from .http.health import Health
from .http.library import Transport, httpx
from .http.messages import chat_request, checked_headers
from .http.options import HTTP_CHECKS, Check, check_options, token_of
from .http.responses import responses_request, stream_responses

__all__ = ["OpenAIAdapter"]


def _check_headers(path: str, value: object) -> None:
    try:
        checked_headers(value)
    except ConfigurationError as error:
        raise ConfigurationError(path, error.rule, error.shown) from None


_CHECKS: Final[Mapping[str, Check]] = {
    **HTTP_CHECKS,
    "api": partial(check_word, words=("chat", "responses")),
    "headers": _check_headers,
}


class OpenAIAdapter:
    """One model at one OpenAI-compatible endpoint. Raises ConfigurationError.

    =========================== ==========================================================================================
    option                      meaning
    =========================== ==========================================================================================
    ``base_url``                what stands before ``/chat/completions``, as in OpenAI's client; default
                                ``https://api.openai.com/v1``. Where it has no path, ``/v1`` is meant
    ``api_token``               sent as a bearer token; default the environment's ``OPENAI_API_KEY``; None: none.
                                ``api_key`` is another name of it
    ``api``                     ``"chat"`` (default) or ``"responses"``: which endpoint answers calls
    ``headers``                 sent with every request, such as ``OpenAI-Organization``
    ``read_timeout``, ...       see ``http/bounds.py``: also ``connect_timeout``, ``first_event_timeout``, ``call_timeout``,
                                ``max_body_bytes``, ``max_line_bytes``, ``max_event_bytes``
    =========================== ==========================================================================================

    ``transport`` replaces the network, for tests and simulations; it is not closed here.
    """

    is_local: ClassVar[bool] = False
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    option_names: ClassVar[frozenset[str]] = frozenset(_CHECKS)

    def __init__(self, config: AdapterConfig, *, transport: Transport | None = None) -> None:
        options = config.options
        check_options(options, _CHECKS)
        self.config: Final = config
        base_url = options.get("base_url", self.default_base_url)
        self._prefix: Final = "/v1" if _ends_in_v1(httpx.URL(base_url).path.rstrip("/")) else ""
        self._responses: Final = options.get("api") == "responses"
        self._http: Final = HttpClient(
            base_url,
            token=token_of(options, "OPENAI_API_KEY"),
            bounds=Bounds.of(options),
            headers=options.get("headers"),
            transport=transport,
        )

    async def shutdown(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Stream the answer. Raises ConfigurationError at once; every later failure is the stream's ``error``."""
        model = self.config.model_id
        if self._responses:
            request = responses_request(model, prompt, options, path=f"{self._prefix}/responses")
            return stream_responses(self._http, request)
        return stream_chat(self._http, chat_request(model, prompt, options, path=f"{self._prefix}/chat/completions"))

    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Pass a request on. Its path begins with ``/v1``, wherever the endpoint has it. Raises AdapterError."""
        if not self._prefix:
            request = replace(request, path=request.path.removeprefix("/v1"))
        return forward(self._http, request, self.config.model_id)

    async def health(self) -> Health:
        """Return whether the endpoint lists its models, with these credentials."""
        try:
            await self._http.json("GET", f"{self._prefix}/models")
        except AdapterError as error:
            return Health(reachable=error.status is not None, ready=False, detail=str(error))
        return Health(reachable=True, ready=True)


def _ends_in_v1(path: str) -> bool:
    """Return whether the client's root, which is without ``/v1``, needs it again."""
    return path == "" or path.endswith("/v1")
