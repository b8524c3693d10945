"""The gateway's commands: ``serve`` stands before the model servers, ``run`` starts a program that uses it, ``status`` shows it.

Exit codes: 0 done, 1 failed, 2 refused (bad input, no server found, address in use).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import trio

from statemachine import AdapterError, ConfigurationError

from ..http.client import HttpClient
from .discovery import find_servers, settings_document
from .running import client_environment
from .serve import run as run_gateway
from .settings import DEFAULT_PORT, GatewaySettings, load_settings, settings_of

__all__ = ["run", "serve", "status"]

DEFAULT_URL: Final = f"http://127.0.0.1:{DEFAULT_PORT}"
TOKEN_VARIABLE: Final = "LLM_SLOTS_TOKEN"
STATUS_SECONDS: Final = 5.0
_NOTHING_FOUND: Final = (
    "no model server was found on this machine (LM Studio on port 1234, Ollama on 11434, llama.cpp on 8080).\n"
    "Start one, or name yours in a configuration: llm-slots serve --config gateway.toml"
)


def serve(arguments: Sequence[str]) -> int:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(
        prog="llm-slots serve", description="Stand before the model servers, for every agent."
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file (default: what is found on loopback)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, or the file's)")
    parser.add_argument("--port", type=int, help=f"port, 0 for a free one (default: {DEFAULT_PORT}, or the file's)")
    parser.add_argument("--verbose", action="store_true", help="log what happens to standard error")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(asctime)s %(name)s: %(message)s"
    )
    try:
        settings, say = _settings(options)
        trio.run(run_gateway, settings, say)
    except BaseException as error:
        return _exit_code(error)
    return 0


def _exit_code(error: BaseException) -> int:
    """Return the exit code for what ended the gateway, and say it in one line. Raises what is a bug."""
    first = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, KeyboardInterrupt):
        return 130
    if isinstance(first, (ConfigurationError, OSError)):
        print(f"error: {first}", file=sys.stderr)
        return 2
    raise error


def _settings(options: argparse.Namespace) -> tuple[GatewaySettings, Sequence[str]]:
    if options.config is not None:
        settings, say = load_settings(options.config, os.environ), [f"configured by {options.config}"]
    else:
        found = trio.run(find_servers)
        if not found:
            raise ConfigurationError("config", _NOTHING_FOUND, "none")
        settings = settings_of(settings_document(found), os.environ)
        say = [f"found {server.kind} at {server.base_url}" for server in found]
    given = {name: value for name in ("host", "port") if (value := getattr(options, name)) is not None}
    return replace(settings, **given), say


def run(arguments: Sequence[str]) -> int:
    """Replace this process by a program whose clients use the gateway."""
    parser = argparse.ArgumentParser(
        prog="llm-slots run",
        description="Run one program through the gateway.",
        usage="%(prog)s [options] -- COMMAND ...",
    )
    parser.add_argument("--agent", help="the program's name, for fairness between agents")
    parser.add_argument("--url", default=DEFAULT_URL, help="the gateway (default: %(default)s)")
    parser.add_argument("command", nargs="+", help="the program and its arguments")
    options = parser.parse_args(arguments)
    variables = client_environment(options.url, options.agent, os.environ.get(TOKEN_VARIABLE))
    try:
        os.execvpe(options.command[0], options.command, {**os.environ, **variables})
    except OSError as error:
        print(f"error: {options.command[0]}: {error.strerror}", file=sys.stderr)
        return 2


def status(arguments: Sequence[str]) -> int:
    """Print the gateway's status as a table."""
    parser = argparse.ArgumentParser(prog="llm-slots status", description="Show slots, queue and agents of a gateway.")
    parser.add_argument("--url", default=DEFAULT_URL, help="the gateway (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--watch", action="store_true", help="again every second, until interrupted")
    options = parser.parse_args(arguments)
    try:
        while True:
            picture = trio.run(_fetch, options.url)
            print(json.dumps(picture) if options.json else _table(picture), flush=True)
            if not options.watch:
                return 0
            time.sleep(1)
    except AdapterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _fetch(url: str) -> Mapping[str, Any]:
    http = HttpClient(url, token=os.environ.get(TOKEN_VARIABLE))
    try:
        return await http.json("GET", "/status", seconds=STATUS_SECONDS)
    finally:
        await http.aclose()


def _table(picture: Mapping[str, Any]) -> str:
    lines = [f"{name:<24} {slot['state']:<10} {slot['model'] or ''}" for name, slot in picture["slots"].items()]
    lines.append(
        f"{picture['under_way']} under way, {len(picture['queue'])} waiting, {picture['counters']['switches']} switches"
    )
    lines += [
        f"  {row['agent']:<22} {row['model']:<24} {row['waited']:8.1f} s  {row['reason']}" for row in picture["queue"]
    ]
    lines += [
        f"{row['agent']:<24} {row['answered']:5} answered, mean wait {row['mean_wait']:.1f} s, longest {row['longest_wait']:.1f} s"
        for row in picture["agents"]
    ]
    return "\n".join(lines)
