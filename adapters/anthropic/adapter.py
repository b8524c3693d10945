"""Anthropic's API, or any server that speaks its messages: thinking, tool use, typed errors. There is nothing to load."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Final

from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import AdapterError

from ..http.bounds import Bounds
from ..http.client import HttpClient
from ..http.forward import forward
from ..http.health import Health
from ..http.library import Transport
from ..http.options import HTTP_CHECKS, check_options, token_of
from ..http.stream import stream_answer
from .reader import MessagesReader
from .request import messages_request

__all__ = ["AnthropicAdapter"]

VERSION: Final = "2023-06-01"
"""The version of the API that is asked for, in the header ``anthropic-version``."""


class AnthropicAdapter:
    """One model of one server that speaks Anthropic's messages. Raises ConfigurationError.

    Options: ``base_url`` (default: Anthropic's), ``api_token`` (default: the environment's ``ANTHROPIC_API_KEY``; sent as ``x-api-key``)
    and the time-outs and bounds of ``http.bounds``. The names of beta features go into the call's ``extra_headers``. ``transport``
    replaces the network, for tests and simulations; it is not closed here.
    """

    is_local: ClassVar[bool] = False
    default_base_url: ClassVar[str] = "https://api.anthropic.com"
    option_names: ClassVar[frozenset[str]] = frozenset(HTTP_CHECKS)

    def __init__(self, config: AdapterConfig, *, transport: Transport | None = None) -> None:
        check_options(config.options, HTTP_CHECKS)
        self.config: Final = config
        self._http: Final = HttpClient(
            config.options.get("base_url", self.default_base_url),
            token=token_of(config.options, "ANTHROPIC_API_KEY"),
            token_header="x-api-key",
            headers={"anthropic-version": VERSION},
            bounds=Bounds.of(config.options),
            transport=transport,
        )

    async def shutdown(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def health(self) -> Health:
        """Return whether the server answers, with these credentials."""
        try:
            await self._http.json("GET", "/v1/models?limit=1")
        except AdapterError as error:
            return Health(reachable=error.status is not None, ready=False, detail=str(error))
        return Health(reachable=True, ready=True)

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Stream the model's answer. Raises ConfigurationError at once; every later failure is the stream's ``error``."""
        request = messages_request(self.config.model_id, prompt, options)
        return stream_answer(self._http, request, MessagesReader(self._http, request))

    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Pass ``request`` on to the server, and the answer's bytes back. Raises AdapterError."""
        return forward(self._http, request, self.config.model_id)
