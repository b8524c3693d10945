"""Find the leases whose holders wait for a task to end: those of the tasks that run it as a child, inside of a lease's block.

A task that holds a lease for the length of a block, and in it waits in a nursery for a child, cannot give it back before; a child that
waits for that very lease would never get it. What is known of this, without looking into any code: the child descends from the
holder through a nursery that was opened in the block, and no task reads the stream under the lease, whose end would free it. A
lease that was taken by ``get_adapter`` alone may be released at any time, so it is not counted.
"""

from __future__ import annotations

import trio

from ..config.providers import Demand
from ..core.coordinator import Coordinator
from .lease import Lessor

__all__ = ["leases_above"]


def leases_above(task: trio.lowlevel.Task, demand: Demand, coordinator: Coordinator, lessor: Lessor) -> tuple[int, ...]:
    """Return the tickets of the leases of the pool of ``demand`` that wait for ``task`` to end."""
    pool = coordinator.pools.get(demand.pool)
    if pool is None or not pool.leases_by_owner:
        return ()
    above: list[int] = []
    while (nursery := task.parent_nursery) is not None:
        task = nursery.parent_task
        if task in pool.leases_by_owner:
            opened = task.child_nurseries.index(nursery)
            above += (
                ticket
                for instance in pool.instances.values()
                for ticket, request in instance.leases.items()
                if request.owner is task and lessor.encloses(ticket, opened)
            )
    return tuple(above)
