"""LM Studio (0.4 or later): load a model, chat with the instance that was loaded, unload what was loaded here.

What shapes this file: a load is not idempotent, every one makes another instance; an explicitly loaded instance stays until somebody
unloads it; the server goes on loading when its client has gone; and the user may load and unload in the application at any time. So the
server's list is the truth. It is read before a load, after it, and after an unload; a load whose answer was lost is looked for in the
list and never repeated; and only an instance that this adapter has loaded is unloaded, by its id.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, ClassVar, Final

import httpx
import trio

from statemachine.checks import check_bool, check_count, check_timeout
from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.errors import (
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterTimeoutError,
    ContextLengthError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
)

from .http_client import HttpClient
from .lmstudio_api import LMStudioApi, LoadedInstance
from .openai_chat import ChatRequest, chat_request, stream_chat
from .options import Check, check_base_url, check_options, check_token

__all__ = ["LMStudioAdapter"]

POLL_SECONDS: Final = 0.5

_LOAD_CHECKS: Final[Mapping[str, Check]] = {
    "context_length": check_count,
    "eval_batch_size": check_count,
    "flash_attention": check_bool,
    "num_experts": check_count,
    "offload_kv_cache_to_gpu": check_bool,
}
_CHECKS: Final[Mapping[str, Check]] = {
    **_LOAD_CHECKS,
    "api_token": check_token,
    "base_url": check_base_url,
    "connect_timeout": check_timeout,
    "load_timeout": check_timeout,
    "read_timeout": check_timeout,
    "unload_timeout": check_timeout,
}


class LMStudioAdapter:
    """One model on one LM Studio server. Raises ConfigurationError.

    =========================== ==========================================================================================
    option                      meaning
    =========================== ==========================================================================================
    ``base_url``                the server, with or without ``/v1``; default ``http://localhost:1234``
    ``api_token``               sent as a bearer token; default none
    ``context_length``, ...     given to the load, and compared with what is loaded: also ``eval_batch_size``,
                                ``flash_attention``, ``num_experts``, ``offload_kv_cache_to_gpu``; default the server's
    ``connect_timeout``         seconds to connect; default 5
    ``read_timeout``            seconds of silence that an answer may have, before it and between its pieces; default 600
    ``load_timeout``            seconds that a load may take; default 600
    ``unload_timeout``          seconds that the shutdown may take; default 25, below the manager's own default
    =========================== ==========================================================================================

    A time-out of None is unbounded. ``transport`` replaces the network, for tests and simulations; it is not closed here.
    """

    default_base_url: ClassVar[str] = "http://localhost:1234"

    def __init__(self, config: AdapterConfig, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        options = config.options
        check_options(options, _CHECKS)
        self.config: Final = config
        self._load_config: Final = {name: options[name] for name in _LOAD_CHECKS if name in options}
        self._load_seconds: Final = _seconds(options.get("load_timeout", 600))
        self._unload_seconds: Final = _seconds(options.get("unload_timeout", 25))
        self._http: Final = HttpClient(
            options.get("base_url", self.default_base_url),
            token=options.get("api_token"),
            connect_timeout=options.get("connect_timeout", 5),
            read_timeout=options.get("read_timeout", 600),
            transport=transport,
        )
        self._api: Final = LMStudioApi(self._http)
        self._instance: LoadedInstance | None = None  # the one to talk to
        self._owned: str | None = None  # the id to unload
        self._load_is_open = False  # it was sent, and it is unknown what became of it

    async def start(self) -> None:
        """Use a loaded instance of the model with this configuration, or load one. Raises AdapterError."""
        fitting = self._fitting(await self._api.instances())
        if fitting:
            self._instance = fitting[0]
            return
        with trio.move_on_after(self._load_seconds):
            self._instance = await self._load()
            return
        raise AdapterTimeoutError(f"{self._name}: the load takes longer than {self._load_seconds} s")

    async def shutdown(self) -> None:
        """Unload what was loaded here, also what a load in progress still brings. Raises AdapterError if it may be left behind."""
        try:
            with trio.move_on_after(self._unload_seconds):
                await self._unload()
                return
            raise AdapterTimeoutError(f"{self._name}: not seen unloaded after {self._unload_seconds} s")
        finally:
            await self._http.aclose()

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Stream the answer of the instance. Raises ConfigurationError at once; every later failure is the stream's ``error``."""
        model = self.config.model_id if self._instance is None else self._instance.id
        return self._answer(chat_request(model, prompt, options))

    # ---- loading and unloading ----

    async def _load(self) -> LoadedInstance:
        self._load_is_open = True
        try:
            self._owned = await self._api.load(self.config.model_id, self._load_config)
        except (AdapterConnectError, AdapterTimeoutError):
            pass  # the server may be loading all the same
        except AdapterError as error:
            self._load_is_open = isinstance(error, AdapterProtocolError)
            raise
        instance = await self._find_own()
        if differing := self._differing(instance):
            raise ModelLoadError(f"{self._name}: loaded with another {', '.join(differing)} than was asked for")
        return instance

    async def _find_own(self) -> LoadedInstance:
        """Wait until the instance of our load is listed, and own it."""
        while True:
            loaded = await self._api.instances()
            instance = self._newcomer(loaded) if self._owned is None else loaded.get(self._owned)
            if instance is not None:
                self._owned, self._load_is_open = instance.id, False
                return instance
            await trio.sleep(POLL_SECONDS)

    def _newcomer(self, loaded: Mapping[str, LoadedInstance]) -> LoadedInstance | None:
        """The instance that must be ours: it fits, and before our load none did. Two of them cannot be told apart."""
        fitting = self._fitting(loaded)
        if len(fitting) > 1:
            raise AdapterError(
                f"{self._name}: several instances appeared during the load, and it is unknown which is ours"
            )
        return fitting[0] if fitting else None

    async def _unload(self) -> None:
        if self._owned is None and self._load_is_open:
            await self._find_own()
        if self._owned is None:
            return
        with suppress(AdapterConnectError, AdapterTimeoutError):  # the list tells
            await self._api.unload(self._owned)
        while True:
            if self._owned not in await self._api.instances():
                self._owned = None
                return
            await trio.sleep(POLL_SECONDS)

    def _fitting(self, loaded: Mapping[str, LoadedInstance]) -> list[LoadedInstance]:
        """The instances of our model with our configuration."""
        return [i for i in loaded.values() if self.config.model_id in i.names and not self._differing(i)]

    def _differing(self, instance: LoadedInstance) -> list[str]:
        """The load options that the instance has otherwise. What the server does not tell is no difference: of some it tells little."""
        return [name for name, value in self._load_config.items() if instance.config.get(name, value) != value]

    @property
    def _name(self) -> str:
        return f"{self._http.server}: {self.config.model_id}"

    # ---- calling ----

    async def _answer(self, request: ChatRequest) -> AsyncGenerator[StreamEvent, None]:
        silent, prompt_tokens = True, 0
        async with aclosing(stream_chat(self._http, request)) as events:
            async for event in events:
                if event.type in ("token", "reasoning", "tool_call"):
                    silent = False
                elif isinstance(event.data, Mapping):
                    prompt_tokens = _prompt_tokens(event.data)
                elif silent and self._overflows(prompt_tokens):
                    text = f"{self._name}: the prompt of {prompt_tokens} tokens does not fit into the context"
                    event = StreamEvent("error", ContextLengthError(text))
                elif isinstance(event.data, AdapterError):
                    event = StreamEvent("error", self._from_our_side(event.data))
                yield event

    def _overflows(self, prompt_tokens: int) -> bool:
        """Whether a prompt was too long for the context: some builds then give an answer without any text (tracker, #2339)."""
        length = None if self._instance is None else self._instance.config.get("context_length")
        return isinstance(length, int) and prompt_tokens >= length

    def _from_our_side(self, error: AdapterError) -> AdapterError:
        """A model that is not found, or has to be loaded, though we had it loaded, has been evicted."""
        if self._instance is None or not isinstance(error, (ModelNotFoundError, ModelLoadError)):
            return error
        evicted = ModelEvictedError(str(error))
        evicted.__cause__ = error
        return evicted


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout


def _prompt_tokens(metadata: Mapping[str, Any]) -> int:
    usage = metadata.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    return tokens if isinstance(tokens, int) else 0
