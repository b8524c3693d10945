"""An adapter without a server, for tests and examples: it loads, answers and fails as its options say, by ``trio.sleep`` alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Final

import trio

from statemachine.checks import check_bool, check_count, check_name, shown
from statemachine.config.adapter import AdapterConfig
from statemachine.config.call import CallOptions, Message, StreamEvent
from statemachine.errors import AdapterConnectError, AdapterError, ConfigurationError, ModelEvictedError, ModelLoadError

from .http.options import Check, check_options, check_seconds, check_token

__all__ = ["FakeAdapter"]


def _check_tokens(path: str, value: object) -> None:
    if isinstance(value, int):
        check_count(path, value, least=0)
    elif not isinstance(value, (list, tuple)) or not all(isinstance(token, str) for token in value):
        raise ConfigurationError(path, "must be a list of strings, or how many tokens there are", shown(value))


_CHECKS: Final[dict[str, Check]] = {
    "api_token": check_token,
    "base_url": check_name,
    "load_seconds": check_seconds,
    "unload_seconds": check_seconds,
    "first_token_seconds": check_seconds,
    "token_seconds": check_seconds,
    "tokens": _check_tokens,
    "fail_start": check_bool,
    "fail_shutdown": check_bool,
    "fail_after": partial(check_count, least=0),
}


class FakeAdapter:
    """Echoes the last message, word by word and at once, unless its options say otherwise.

    ``load_seconds``, ``unload_seconds``: how long start and shutdown take. ``first_token_seconds``: before the answer begins;
    ``token_seconds``: before each token. ``tokens``: the answer, as a list of strings, or how many tokens it has.
    ``fail_start``, ``fail_shutdown``: True to fail at the end of it (ModelLoadError, AdapterConnectError). ``fail_after``: how many
    tokens come before the stream ends in an AdapterConnectError. ``base_url`` and ``api_token`` only make a difference
    to the identity. Nothing is random, and ``CallOptions`` are not looked at.

    A call before the start or after the shutdown, or that a shutdown overtakes, ends in ModelEvictedError: a manager
    that lets this happen is caught by its tests. Raises ConfigurationError.
    """

    def __init__(self, config: AdapterConfig) -> None:
        check_options(config.options, _CHECKS)
        self.config = config
        self._loaded = False

    async def start(self) -> None:
        """Take ``load_seconds``. Raises ModelLoadError if ``fail_start``."""
        await trio.sleep(self.config.options.get("load_seconds", 0))
        if self.config.options.get("fail_start", False):
            raise ModelLoadError(f"{self.config.model_id}: told to fail its start")
        self._loaded = True

    async def shutdown(self) -> None:
        """Take ``unload_seconds``. Raises AdapterConnectError if ``fail_shutdown``."""
        self._loaded = False
        await trio.sleep(self.config.options.get("unload_seconds", 0))
        if self.config.options.get("fail_shutdown", False):
            raise AdapterConnectError(f"{self.config.model_id}: told to fail its shutdown")

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        """Yield the scripted answer: tokens, then metadata with the usage, then ``end``; or ``error``."""
        tokens = self._answer(prompt)
        await trio.sleep(self.config.options.get("first_token_seconds", 0))
        for token in tokens[: self.config.options.get("fail_after")]:
            await trio.sleep(self.config.options.get("token_seconds", 0))
            if not self._loaded:
                break
            yield StreamEvent("token", token)
        if (failure := self._failure(len(tokens))) is not None:
            yield StreamEvent("error", failure)
            return
        yield StreamEvent("metadata", {"usage": {"completion_tokens": len(tokens)}})
        yield StreamEvent("end", "stop")

    def _answer(self, prompt: Sequence[Message]) -> list[str]:
        scripted = self.config.options.get("tokens")
        if isinstance(scripted, int):
            return [f"{number} " for number in range(scripted)]
        if scripted is not None:
            return list(scripted)
        words = str(prompt[-1].get("content") or "").split() if prompt else []
        return [f"{word} " for word in words[:-1]] + words[-1:]

    def _failure(self, tokens: int) -> AdapterError | None:
        """Return the reason why an answer of ``tokens`` tokens is not whole."""
        fail_after = self.config.options.get("fail_after")
        if not self._loaded:
            return ModelEvictedError(f"{self.config.model_id} is not loaded")
        if fail_after is not None and fail_after <= tokens:
            return AdapterConnectError(f"{self.config.model_id}: told to fail after {fail_after} tokens")
        return None
