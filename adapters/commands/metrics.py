"""``metrics``: ask models of an LM Studio server in turn, and tell what the loads, unloads, switches and calls came to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from statemachine.errors import ConfigurationError

from ..lmstudio import LMStudioAdapter
from ..providers.lmstudio_singleton import LMStudioMetrics, get_lmstudio_singleton
from .shell import command, print_rows

__all__ = ["main"]

WHAT = "ask models of an LM Studio server in turn, and tell what loads, unloads, switches and calls came to"


async def _run(args: argparse.Namespace) -> None:
    if args.provider != "lmstudio":
        raise ConfigurationError("--provider", "must be lmstudio, which has a coordinator that counts", args.provider)
    options = {} if args.api_key is None else {"api_token": args.api_key}
    url = args.base_url or LMStudioAdapter.default_base_url
    async with get_lmstudio_singleton(url, **options) as server:
        for _ in range(args.rounds):
            for name in args.model:
                model = await server.get_model(name)
                await model.invoke("Say hello.", max_tokens=8)
        await server.unload()
        print_rows(_rows(server.metrics()), args.json)


def _rows(metrics: LMStudioMetrics) -> list[dict[str, Any]]:
    return [
        {
            "what": what,
            "attempts": counted.attempts,
            "successes": counted.successes,
            "failures": counted.failures,
            "mean seconds": counted.mean_seconds,
            "most seconds": counted.most_seconds,
        }
        for what, counted in (("load", metrics.load), ("unload", metrics.unload), ("switch", metrics.switch))
    ]


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="+")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is asked (default: %(default)s)")


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit code."""
    return command("metrics", WHAT, _run, arguments, _more)
