"""local-engine-router 0.7.1: an answer that takes longer than ``drain_timeout_s`` (default 30 s) is cut when another engine is asked for.

``_drain`` says so in its log ("proceeding to stop it"), and the request that waits gains little: the one that was cut is made again, swaps
back, and both pay for the swap. A drain without a bound, or one that begins anew with every token, would lose no answer.

Here the drain is bounded to 1 s and the answer takes 3 s.
"""

from __future__ import annotations

import asyncio

from router.config import ApiSwapConfig, EngineSpec, ModelSpec, RouterConfig
from router.engines import EngineManager

from benchmarks.field.play import Call, chat
from benchmarks.peers.findings.small_server import SmallServer, say

SETTINGS = {
    "health_path": "/api/v0/models",
    "load_path": "/api/v1/models/load",
    "load_body": {"model": "{model}"},
    "unload_path": "/api/v1/models/unload",
    "unload_body": {"instance_id": "{model}"},
    "loaded_path": "/api/v0/models",
    "loaded_models_key": "data",
    "loaded_name_key": "id",
    "loaded_filter": "state==loaded",
}


async def main(url: str) -> None:
    """An answer of one engine, and a request for the other while it is made."""
    engines = [
        EngineSpec(name, "api_swap", True, ApiSwapConfig(base_url=url, **SETTINGS)) for name in ("small", "large")
    ]
    models = [ModelSpec(name, name, name) for name in ("small", "large")]
    manager = EngineManager(
        RouterConfig(engines=engines, models=models, drain_timeout_s=1, swap_memory_settle_timeout_s=0, state_file="")
    )

    async def ask(model: str, tokens: int) -> None:
        engine = await manager.acquire(model)
        try:
            await asyncio.to_thread(chat, url, Call(0, "agent", model, 1, tokens, (), 0.0))
            say(f"client: {model} has answered")
        except Exception as error:
            say(f"client: {model} has not answered: {error}")
        finally:
            await manager.release(engine.key)

    async with asyncio.TaskGroup() as requests:
        requests.create_task(ask("small", 30))
        await asyncio.sleep(1)
        requests.create_task(ask("large", 3))


if __name__ == "__main__":
    server = SmallServer()
    with server.running() as url:
        asyncio.run(main(url))
    print(f"answers cut: {server.killed}")
