"""``chat``: ask a model, and print its answer as it comes. What was loaded for it is unloaded afterwards."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import aclosing

from ..providers.model import Answer
from ..providers.provider import ModelProvider
from .shell import command, harmless

__all__ = ["main"]

WHAT = "ask a model, and print its answer as it comes; what was loaded for it is unloaded afterwards"


async def _run(args: argparse.Namespace) -> None:
    config = {"provider": args.provider, "model": args.model, "base_url": args.base_url, "api_key": args.api_key}
    prompt = args.prompt if args.prompt != "-" else sys.stdin.read()
    parameters = {} if args.max_tokens is None else {"max_tokens": args.max_tokens}
    events = []
    async with ModelProvider() as provider:
        model = await provider.create_model_async(config)
        async with aclosing(model.stream(prompt, **parameters)) as stream:
            async for event in stream:
                events.append(event)
                if event.type == "token" and not args.json:
                    print(harmless(str(event.data)), end="", flush=True)
    answer = Answer.of(events)
    if args.json:
        print(json.dumps({"text": answer.text, "finish_reason": answer.finish_reason, "usage": dict(answer.usage)}))
    else:
        print()


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument("prompt", help="the question; - reads it from the standard input")
    parser.add_argument("--max-tokens", type=int)


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit code."""
    return command("chat", WHAT, _run, arguments, _more, local=False)
