"""LM Studio: load a model, chat with the instance that was loaded, unload what was loaded here.

What shapes this adapter: a load is not idempotent, every one makes another instance; an explicitly loaded instance stays until it is
unloaded; the server goes on loading when its client has gone; a call of what is not loaded loads it, with the server's own
configuration; and the user may load and unload in the application at any time. So the server's list is the truth, and ``residency`` keeps
to it. ``api`` has the server's endpoints.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from typing import Any, ClassVar, Final

from statemachine.checks import check_bool, check_count, check_word
from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import ContextLengthError

from ..http.bounds import Bounds
from ..http.chat import stream_chat
from ..http.client import HttpClient
from ..http.health import Health
from ..http.library import Transport
from ..http.messages import chat_request
from ..http.options import HTTP_CHECKS, Check, check_options, token_of
from ..http.stream import HttpRequest
from ..residency import RESIDENCY_CHECKS, Owned, Residency
from .api import LMStudioServer
from .native import native_request, stream_native_chat

__all__ = ["LMStudioAdapter"]

_LOAD_CHECKS: Final[Mapping[str, Check]] = {
    "context_length": check_count,
    "eval_batch_size": check_count,
    "flash_attention": check_bool,
    "num_experts": check_count,
    "offload_kv_cache_to_gpu": check_bool,
    "parallel": check_count,
}
_CALL_CHECKS: Final[Mapping[str, Check]] = {"ttl": check_count, "api": partial(check_word, words=("chat", "native"))}
_CHECKS: Final[Mapping[str, Check]] = {**HTTP_CHECKS, **RESIDENCY_CHECKS, **_LOAD_CHECKS, **_CALL_CHECKS}


ANSWERED_LAG_SECONDS: Final = 10.0
"""How long the list may be behind the answer to a load, which comes when the load is over."""


class LMStudioAdapter:
    """One model on one LM Studio server. Raises ConfigurationError.

    =========================== ==========================================================================================
    option                      meaning
    =========================== ==========================================================================================
    ``base_url``                the server, with or without ``/v1``; default ``http://localhost:1234``
    ``api_token``               sent as a bearer token; default the environment's ``LM_API_TOKEN``; None: none
    ``context_length``, ...     given to the load, and compared with what is loaded: also ``eval_batch_size``,
                                ``flash_attention``, ``num_experts``, ``offload_kv_cache_to_gpu``, ``parallel`` (the slots of
                                the instance; a server that cannot set them refuses another number than its own); default
                                the server's
    ``api``                     ``"chat"`` (default): OpenAI's chat; ``"native"``: LM Studio's own, which tells how far a load and
                                the prompt are, and takes no tools and no assistant messages (see ``native``)
    ``ttl``                     seconds of idleness after which the server unloads what it loads just in time
    ``on_foreign``, ...         see ``residency``: also ``load_timeout``, ``unload_timeout``
    ``read_timeout``, ...       see ``http/bounds.py``: also ``connect_timeout``, ``first_event_timeout``, ``call_timeout``,
                                ``max_body_bytes``, ``max_line_bytes``, ``max_event_bytes``
    =========================== ==========================================================================================

    A time-out of None is unbounded. ``transport`` replaces the network, for tests and simulations; it is not closed here.
    """

    is_local: ClassVar[bool] = True
    default_base_url: ClassVar[str] = "http://localhost:1234"
    option_names: ClassVar[frozenset[str]] = frozenset(_CHECKS)

    def __init__(self, config: AdapterConfig, *, transport: Transport | None = None) -> None:
        options = config.options
        check_options(options, _CHECKS)
        self.config: Final = config
        self._ttl: Final[int | None] = options.get("ttl")
        self._native: Final = options.get("api") == "native"
        self._http: Final = HttpClient(
            options.get("base_url", self.default_base_url),
            token=token_of(options, "LM_API_TOKEN"),
            bounds=Bounds.of(options),
            transport=transport,
        )
        asked = {name: options[name] for name in _LOAD_CHECKS if name in options}
        self._name: Final = f"{self._http.server}: {config.model_id}"
        self._server: Final = LMStudioServer(self._http, config.model_id, asked, self._ttl)
        self._residency: Final = Residency(
            self._server,
            self._name,
            options,
            config=asked,
            answered_lag=ANSWERED_LAG_SECONDS,
            place=Owned(self._http.server, config.model_id),
            loads_on_call="otherwise",
            loads_now=self._server.loads_on_call,
        )

    async def start(self) -> None:
        """Use a loaded instance of the model with this configuration, or load one. Raises AdapterError."""
        await self._residency.start()

    async def shutdown(self) -> None:
        """Unload what was loaded here, also what a load in progress still brings. Raises AdapterError if it may be left behind."""
        try:
            if self._server.can_unload:
                await self._residency.shutdown()
        finally:
            await self._http.aclose()

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Stream the answer of the instance. Raises ConfigurationError at once; every later failure is the stream's ``error``."""
        if self._native:
            native = native_request(self._model, prompt, options)
            return self._residency.watched(lambda: stream_native_chat(self._http, native))
        more: dict[str, Any] = {} if self._ttl is None else {"ttl": self._ttl}
        request = chat_request(self._model, prompt, options, more=more)
        return self._residency.watched(lambda: self._answer(request))

    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Pass a request on to the instance. Raises AdapterError."""
        return self._residency.forward(self._http, request, self._model)

    async def recover(self) -> list[str]:
        """Unload what an earlier run has left of this model; return the instances' ids. Raises AdapterError."""
        return await self._residency.recover()

    async def health(self) -> Health:
        """Return whether the server answers, and has the instance loaded."""
        return await self._residency.health()

    @property
    def _model(self) -> str:
        return self._residency.id or self.config.model_id

    async def _answer(self, request: HttpRequest) -> AsyncGenerator[StreamEvent, None]:
        silent, prompt_tokens = True, 0
        async with aclosing(stream_chat(self._http, request)) as events:
            async for event in events:
                if event.type in ("token", "reasoning", "tool_call"):
                    silent = False
                elif isinstance(event.data, Mapping):
                    prompt_tokens = max(prompt_tokens, _prompt_tokens(event.data))
                elif silent and self._overflows(prompt_tokens):
                    text = f"{self._name}: the prompt of {prompt_tokens} tokens does not fit into the context"
                    event = StreamEvent("error", ContextLengthError(text))
                yield event

    def _overflows(self, prompt_tokens: int) -> bool:
        """Return whether a prompt was too long for the context: some builds then give an answer without any text (tracker, #2339)."""
        resident = self._residency.resident
        length = None if resident is None else resident.config.get("context_length")
        return isinstance(length, int) and prompt_tokens >= length


def _prompt_tokens(metadata: Mapping[str, Any]) -> int:
    usage = metadata.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return tokens if isinstance(tokens, int) else 0
