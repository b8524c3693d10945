"""The picture of the gateway at one moment, as JSON: slots, providers, the queue, agents, counters."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import trio

from .agents import AgentWait
from .gateway import Gateway

__all__ = ["resident", "status"]


def status(gateway: Gateway) -> dict[str, Any]:
    """Return what ``GET /status`` answers. Times are in seconds."""
    now, statistics = trio.current_time(), gateway.manager.statistics()
    return {
        "now": now,
        "draining": gateway.draining.is_set(),
        "under_way": gateway.requests.count,
        "slots": {key: asdict(slot) for key, slot in statistics.slots.items()},
        "providers": {name: asdict(provider) for name, provider in statistics.providers.items()},
        "queue": [
            {
                "agent": waiter.agent,
                "provider": waiter.provider,
                "model": waiter.model,
                "waited": round(now - waiter.since, 3),
                "reason": reason,
            }
            for waiter, reason in gateway.waiting.described(now)
        ],
        "agents": _agents(gateway),
        "history": [{**asdict(part), "pool": gateway.pool_of(part.provider, part.model)} for part in gateway.history],
        "models": {name: asdict(usage) for name, usage in statistics.models.items()},
        "counters": asdict(statistics.counters),
    }


def _agents(gateway: Gateway) -> list[dict[str, Any]]:
    """Return each agent that was served or waits, by name."""
    waiting = Counter(waiter.agent for waiter in gateway.waiting)
    served = {row.agent: row for row in gateway.agents}
    rows = (served.get(agent, AgentWait(agent)) for agent in sorted(served.keys() | waiting.keys()))
    return [
        {
            "agent": row.agent,
            "waiting": waiting[row.agent],
            "answered": row.answered,
            "mean_wait": round(row.mean_wait, 3),
            "longest_wait": round(row.longest_wait, 3),
        }
        for row in rows
    ]


def resident(gateway: Gateway) -> set[tuple[str, str]]:
    """Return the models that are in this machine's memory and can answer, as (provider, model)."""
    local = {provider.name for provider in gateway.settings.providers if provider.config.is_local}
    lasting = gateway.history.lasting()
    return {
        (part.provider, part.model) for part in lasting if part.state in ("busy", "resident") and part.provider in local
    }
