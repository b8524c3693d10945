"""Who takes part: each with the environment and the module that plays, its settings, and what it is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["CONTENDERS", "Contender"]


@dataclass(frozen=True)
class Contender:
    """``kind``: whether it is ours, what users do without a manager, or a peer. ``environment`` None: our own."""

    name: str
    kind: str
    module: str
    asked: str
    settings: dict[str, Any] = field(default_factory=dict)
    environment: str | None = None


def _ours(policy: str, what: str) -> Contender:
    asked = f'`SyncReasoningEngine`, `policy="{policy}"`{what}'
    return Contender(f"ours, {policy}", "ours", "benchmarks.field.ours", asked, {"policy": policy})


CONTENDERS: Final = (
    _ours("gated", " (the default)"),
    _ours("fifo", ""),
    _ours("affinity", ""),
    _ours("cost_aware", ""),
    _ours("fair", ""),
    Contender("our gateway, gated", "ours", "benchmarks.field.gateway", "`llm-slots serve`; its clients are plain"),
    Contender(
        "no coordination",
        "users",
        "benchmarks.field.alone",
        "the server loads just in time, and evicts what it loaded before",
        {"lock": "none"},
    ),
    Contender(
        "a lock per model",
        "users",
        "benchmarks.field.alone",
        "the same, one call of a model at a time",
        {"lock": "model"},
    ),
    Contender("one lock for all", "users", "benchmarks.field.alone", "the same, one call at a time", {"lock": "one"}),
    Contender(
        "promptchain 0.1.1",
        "peer",
        "benchmarks.peers.promptchain",
        '`ModelManager(policy="auto", max_resident=1)`, `with manager.use(model)`',
        environment="promptchain",
    ),
    Contender(
        "local-engine-router 0.7.1, engine per model",
        "peer",
        "benchmarks.peers.local_engine_router",
        "an `api_swap` engine for each model, what is loaded read model by model",
        {"init": False},
        "local-engine-router",
    ),
    Contender(
        "local-engine-router 0.7.1, as `init` writes it",
        "peer",
        "benchmarks.peers.local_engine_router",
        "the LM Studio engine of its own `init`, with both models",
        {"init": True},
        "local-engine-router",
    ),
    Contender(
        "loco-agent 0.4.0, capacity 4",
        "peer",
        "benchmarks.peers.loco_agent",
        "`loco.configure(capacity=4)`: as many as the server answers at once",
        {"capacity": 4},
        "loco-agent",
    ),
    Contender(
        "loco-agent 0.4.0, capacity 1",
        "peer",
        "benchmarks.peers.loco_agent",
        "`loco.configure(capacity=1)`: one call at a time",
        {"capacity": 1},
        "loco-agent",
    ),
)
