"""loco-agent's scheduler around calls of LM Studio, which loads just in time: ``python -m benchmarks.peers.loco_agent``."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import loco

from benchmarks.field.play import Call, chat, play, read_plan


def main() -> None:
    """Play the plan as its README has it: ``loco.configure(capacity=...)``, then ``await loco.wrap(call, agent_id=...)``."""
    plan = read_plan()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def configure() -> None:
        loco.configure(capacity=plan.settings["capacity"], max_waiters=1000)

    asyncio.run_coroutine_threadsafe(configure(), loop).result()

    async def call_server(call: Call) -> str:
        return await asyncio.to_thread(partial(chat, plan.url, call, **plan.parameters))

    async def wrapped(call: Call) -> str:
        return str(await loco.wrap(call_server, agent_id=call.agent, weight=1.0, call=call))

    play(plan, lambda call: asyncio.run_coroutine_threadsafe(wrapped(call), loop).result())


if __name__ == "__main__":
    main()
