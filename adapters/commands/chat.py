"""``chat``: ask a model, and print its answer as it comes.

By a gateway, or at any provider; what was loaded for it without a gateway is unloaded afterwards.
"""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from statemachine.shell.options import argument, option

from ..providers.model import Answer
from ..providers.provider import ModelProvider
from .asked import USUAL_PROVIDER, AskedOptions, endpoint, gateway_of
from .server import PROVIDERS
from .show import harmless

__all__ = ["Options", "run"]


@dataclass(frozen=True, kw_only=True)
class Options(AskedOptions):
    """Which model is asked what. Any provider will do, local or not."""

    provider: str | None = option(None, "ask a server of this kind (default: lmstudio)", choices=PROVIDERS)
    model: str = argument("the model to ask")
    prompt: str = argument("the question; - reads it from the standard input")
    max_tokens: int | None = option(None, "longest answer, in tokens", parse=int, least=1)


def run(options: Options) -> int:
    """Ask and print. Returns the exit status. Raises ProviderManagerError."""
    prompt = options.prompt if options.prompt != "-" else sys.stdin.read()
    answer = trio.run(partial(_ask, options, prompt))
    if options.json:
        print(json.dumps({"text": answer.text, "finish_reason": answer.finish_reason, "usage": dict(answer.usage)}))
    else:
        print()
    return 0


async def _ask(options: Options, prompt: str) -> Answer:
    parameters: dict[str, Any] = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
    events = []
    url = await gateway_of(options)
    if url is None:
        config = options.config(options.provider or USUAL_PROVIDER, options.model)
    else:
        config = endpoint(options, url).config("openai", options.model)
    async with ModelProvider() as provider:
        model = await provider.create_model_async(config)
        async with aclosing(model.stream(prompt, **parameters)) as stream:
            async for event in stream:
                events.append(event)
                if event.type == "token" and not options.json:
                    print(harmless(str(event.data)), end="", flush=True)
    return Answer.of(events)
