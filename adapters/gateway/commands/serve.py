"""``serve``: stand before the model servers of this machine, for every agent.

Exit codes: 0 ended by a signal, 2 refused (bad input, no server found, address in use), 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import trio

from statemachine import ConfigurationError
from statemachine.journal.writer import Journal
from statemachine.parser import Parser

from ..discovery import find_servers, settings_document
from ..serve import run
from ..settings import DEFAULT_PORT, GatewaySettings, load_settings, settings_of

__all__ = ["main"]

_NOTHING_FOUND: Final = (
    "must be given: no model server was found on this machine (LM Studio on port 1234, Ollama on 11434, llama.cpp on 8080);"
    " start one, or name yours in a file: serve --config gateway.toml"
)


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal ends it."""
    options = _parser().parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s: %(message)s")
    try:
        settings, say = _settings(options)
        with ExitStack() as stack:
            journal = None if options.log is None else stack.enter_context(Journal(options.log))
            read_again = None if options.config is None else lambda: _settings(options)[0]
            trio.run(run, settings, say, journal, read_again)
    except BaseException as error:
        return _exit_code(error)
    return 0


def _parser() -> Parser:
    parser = Parser(prog="llm-slots serve", description="Stand before the model servers, for every agent.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file (default: what is found on loopback)")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1, or the file's)")
    parser.add_argument("--port", type=int, help=f"port, 0 for a free one (default: {DEFAULT_PORT}, or the file's)")
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="write a journal of every decision, for the command verify"
    )
    parser.add_argument("--verbose", action="store_true", help="log what happens to standard error")
    return parser


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
