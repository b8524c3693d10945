"""local-engine-router 0.7.1: with the configuration that ``init`` writes for LM Studio, every request loads one more copy of its model.

``init`` reads what is loaded from ``/api/v1/models`` with ``loaded_models_key: data`` and ``loaded_name_key: id``. LM Studio 0.4 answers
there with ``{"models": [{"key": ..., "loaded_instances": [...]}]}``, so nothing ever counts as loaded, and LM Studio's load makes another
instance each time. ``/api/v0/models`` with ``loaded_filter: state==loaded`` has the expected shape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from router.config import ApiSwapConfig, EngineSpec, ModelSpec, RouterConfig
from router.engines import EngineManager

from benchmarks.peers.findings.small_server import SmallServer

INIT = {
    "health_path": "/api/v1/models",
    "load_path": "/api/v1/models/load",
    "load_body": {"model": "{model}"},
    "loaded_path": "/api/v1/models",
    "loaded_models_key": "data",
    "loaded_name_key": "id",
}
V0 = {**INIT, "loaded_path": "/api/v0/models", "loaded_filter": "state==loaded"}


async def three_requests(settings: Mapping[str, object]) -> list[str]:
    """Three requests for one model, one after the other; returns what is loaded then."""
    server = SmallServer()
    with server.running() as url:
        engine = EngineSpec("lmstudio", "api_swap", True, ApiSwapConfig(base_url=url, **settings))
        models = [ModelSpec("small", "lmstudio", "small")]
        manager = EngineManager(RouterConfig(engines=[engine], models=models, state_file=""))
        for _ in range(3):
            used = await manager.acquire("small")
            await manager.release(used.key)
    return server.loaded


if __name__ == "__main__":
    for name, settings in (("as init writes it", INIT), ("with /api/v0/models", V0)):
        print(f"{name}: loaded after three requests: {asyncio.run(three_requests(settings))}")
