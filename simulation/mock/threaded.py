"""The mock server on a real socket in a thread of its own, for programs that run on no trio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trio
from starlette.types import ASGIApp

from .serve import serve

__all__ = ["serve_in_a_thread"]


@contextmanager
def serve_in_a_thread(app: ASGIApp) -> Iterator[str]:
    """Serve ``app`` on a free port of loopback while the block runs, which gets the base URL. Raises what the server raises."""
    listens = threading.Event()
    urls: list[str] = []
    tokens: list[trio.lowlevel.TrioToken] = []
    left = trio.Event()

    async def run() -> None:
        async with serve(app, port=0) as url:
            urls.append(url)
            tokens.append(trio.lowlevel.current_trio_token())
            listens.set()
            await left.wait()

    def live() -> None:
        try:
            trio.run(run)
        finally:
            listens.set()

    thread = threading.Thread(target=live, name="mock server", daemon=True)
    thread.start()
    listens.wait()
    if not urls:
        raise RuntimeError("the mock server did not start: its thread tells why")
    try:
        yield urls[0]
    finally:
        tokens[0].run_sync_soon(left.set)
        thread.join()
