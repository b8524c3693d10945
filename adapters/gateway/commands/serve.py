"""``serve``: stand before the model servers of this machine, for every agent.

Exit status: 0 ended by a signal, 2 refused (bad input, no server found, address in use).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from statemachine import ConfigurationError
from statemachine.journal.writer import Journal
from statemachine.shell.options import option

from ..discovery import settings_document, wait_for_servers
from ..recording import Recorder
from ..serve import run as serve
from ..settings import DEFAULT_PORT, GatewaySettings, load_settings, settings_of

__all__ = ["Options", "run"]

FILES: Final = 65_536
"""How many open files are asked for, where the system has no limit."""
_NOTHING_FOUND: Final = (
    "must be given: no model server was found on this machine (LM Studio on port 1234, Ollama on 11434, llama.cpp on 8080);"
    " start one, or name yours in a file: serve --config gateway.toml"
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which servers the gateway stands before, where it listens, and what it records."""

    config: Path | None = option(None, "a TOML file (default: what is found on loopback)", parse=Path, metavar="FILE")
    host: str | None = option(None, "address to listen on (default: 127.0.0.1, or the file's)")
    port: int | None = option(
        None, f"port, 0 for a free one (default: {DEFAULT_PORT}, or the file's)", parse=int, least=0, most=65535
    )
    wait: float = option(0.0, "seconds to wait for a model server, where none is found yet", least=0, most=3600)
    log: Path | None = option(
        None, "write a journal of every decision, for the command verify", parse=Path, metavar="FILE"
    )
    record: Path | None = option(
        None, "write who asked when for how many tokens, for compare --trace", parse=Path, metavar="FILE"
    )
    verbose: bool = option(False, "log what happens to standard error")


def run(options: Options) -> int:
    """Serve until a signal ends it. Returns the exit status. Raises ConfigurationError, OSError."""
    _take_files()
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(name)s: %(message)s")
    settings, say = _settings(options)
    with ExitStack() as stack:
        journal = None if options.log is None else stack.enter_context(Journal(options.log))
        recorder = None if options.record is None else stack.enter_context(Recorder(options.record))
        read_again = None if options.config is None else lambda: _settings(options)[0]
        trio.run(serve, settings, say, journal, recorder, read_again)
    return 0


def _take_files() -> None:
    """Have as many files as the system lets this process have: each client takes one, and each request to a server another."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has another limit, which is not told
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settings(options: Options) -> tuple[GatewaySettings, Sequence[str]]:
    given = {name: value for name in ("host", "port") if (value := getattr(options, name)) is not None}
    if options.config is not None:
        return load_settings(options.config, os.environ, **given), [f"configured by {options.config}"]
    found = trio.run(wait_for_servers, options.wait)
    if not found:
        raise ConfigurationError("config", _NOTHING_FOUND, "none")
    say = [f"found {server.kind} at {server.base_url}" for server in found]
    return settings_of(settings_document(found), os.environ, **given), say
