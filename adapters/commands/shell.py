"""What the commands share: their options, a server and its adapter, tables and JSON, and what an error means to a shell."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import trio

from statemachine.config.adapter import AdapterConfig
from statemachine.errors import (
    AdapterRequestError,
    AdapterTimeoutError,
    ConfigurationError,
    ContentionError,
    ProviderManagerError,
    UnknownProviderError,
)
from statemachine.parser import Parser
from statemachine.text import fit_to_show

from ..providers.kinds import KINDS
from ..residency import ModelServer, Resident

__all__ = ["Server", "command", "harmless", "print_rows", "waiting"]

DONE: Final = 0
FAILED: Final = 1
REFUSED: Final = 2
INTERRUPTED: Final = 130
UNLOAD_SECONDS: Final = 60

Run: TypeAlias = Callable[[argparse.Namespace], Awaitable[None]]
_REFUSALS: Final = (ConfigurationError, UnknownProviderError, ContentionError, AdapterRequestError)


def command(
    name: str,
    what: str,
    run: Run,
    arguments: Sequence[str],
    more: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
    *,
    local: bool = True,
) -> int:
    """Parse, run, and say what went wrong in one line. Returns 0 (done), 2 (refused as it stands), 1 (failed) or 130 (interrupted)."""
    parser = Parser(prog=f"llm-slots {name}", description=what)
    kinds = sorted(kind for kind in KINDS if KINDS[kind].is_local or not local)
    parser.add_argument("--provider", choices=kinds, default="lmstudio", help="(default: %(default)s)")
    parser.add_argument("--base-url", help="the server (default: the provider's own)")
    parser.add_argument("--api-key", help="its credential (default: the environment's)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    more(parser)
    args = parser.parse_args(arguments)
    status = DONE
    try:
        trio.run(run, args)
    except* KeyboardInterrupt:
        status = INTERRUPTED
    except* ProviderManagerError as group:
        error = _first(group)
        print(f"error: {fit_to_show(str(error))}", file=sys.stderr)
        status = REFUSED if isinstance(error, _REFUSALS) or isinstance(error.__cause__, _REFUSALS) else FAILED
    return status


def _first(group: BaseExceptionGroup[ProviderManagerError]) -> ProviderManagerError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


class Server:
    """A local server, by the adapter of one of its models. What is loaded here stays loaded when the command has ended."""

    def __init__(self, args: argparse.Namespace, model: str = "-", **options: Any) -> None:
        kind = KINDS[args.provider]
        given = {**kind.options(args.base_url, args.api_key), **options}
        self.model = model
        self._adapter = kind.factory()(AdapterConfig(args.provider, model, given))
        self._verbs: ModelServer = self._adapter._server
        self._http = self._adapter._http

    async def resident(self) -> list[Resident]:
        """What is in memory, or on its way. Raises AdapterError."""
        return list(await self._verbs.list())

    async def available(self) -> list[str]:
        """The models that the server has. Raises AdapterError."""
        rows = (await self._http.json("GET", "/v1/models")).get("data")
        found = [row.get("id") for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
        return [name for name in found if isinstance(name, str)]

    async def load(self) -> None:
        """Load the model, or find it loaded. Raises AdapterError."""
        await self._adapter.start()

    async def unload(self, resident: Resident) -> None:
        """Unload, and wait until the list no longer shows it. Raises AdapterError."""
        with trio.move_on_after(UNLOAD_SECONDS):
            await self._adapter._residency._unload(resident.id, as_ours=False)
            return
        raise AdapterTimeoutError(f"{fit_to_show(resident.id)} is not seen unloaded after {UNLOAD_SECONDS} s")

    def fits(self, resident: Resident) -> bool:
        """Whether it is the command's model."""
        return resident.id == self.model or self._verbs.fits(resident)


def print_rows(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """A table with a line per row, or JSON."""
    if as_json:
        print(json.dumps(list(rows), indent=2))
        return
    names = list(rows[0]) if rows else []
    texts = [[fit_to_show(_text(row[name])) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in [names, *texts]) for i in range(len(names))]
    for line in [[name.upper() for name in names], *texts] if rows else []:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    if not rows:
        print("none")


def harmless(piece: str) -> str:
    """A piece of a model's answer, without what a terminal would obey."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in piece)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


@asynccontextmanager
async def waiting(what: str) -> AsyncGenerator[None, None]:
    """Say on the terminal how long ``what`` takes, while the block takes it; elsewhere only that it has begun."""
    began = time.monotonic()
    if not sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr)
        yield
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tick, what, began)
        yield
        nursery.cancel_scope.cancel()
    print(f"\r{what}: {time.monotonic() - began:.1f} s", file=sys.stderr)


async def _tick(what: str, began: float) -> None:
    while True:
        print(f"\r{what}: {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)
        await trio.sleep(0.5)
