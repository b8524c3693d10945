"""``status --provider``: whether a provider answers, and what it has in memory. Without ``--provider``: how a gateway is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

from statemachine.errors import AdapterConnectError

from ..providers.kinds import KINDS
from ..providers.provider import ModelProvider
from .shell import Server, command, print_rows

__all__ = ["main"]

WHAT = "whether a provider answers, and what it has in memory"


async def _run(args: argparse.Namespace) -> None:
    async with ModelProvider() as provider:
        config = {"provider": args.provider, "model": "-", "base_url": args.base_url, "api_key": args.api_key}
        status = await provider.test_connection(config, timeout=args.timeout)
    if not status.reachable:
        raise AdapterConnectError(f"{status.provider} at {status.base_url}: {status.detail}")
    row = {"provider": status.provider, "base url": status.base_url, "seconds": status.seconds}
    if KINDS[args.provider].is_local:
        loaded = [resident.id for resident in await Server(args).resident()]
        row["in memory"] = ", ".join(loaded) or "nothing"
    print_rows([row], args.json)


def main(arguments: Sequence[str]) -> int:
    """The command; returns the exit code. Without ``--provider`` it is the gateway's."""
    if not any(argument.partition("=")[0] == "--provider" for argument in arguments):
        return int(import_module("adapters.gateway.commands.status").main(arguments))
    return command(
        "status",
        WHAT,
        _run,
        arguments,
        lambda parser: parser.add_argument("--timeout", type=float, default=5.0, help="seconds (default: 5)"),
        local=False,
    )
