"""What a manager has in hand between two steps, as a value: for tests and checkers that compare it with the coordinator.

The coordinator's state says what should be under way. This says what is: which calls of ``get_adapter`` have no answer, which streams
have not ended, and what the task of each instance was told to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..config.adapter import Adapter

__all__ = ["InstanceTask", "Outstanding"]


class InstanceTask(NamedTuple):
    """The task of one instance: its ``adapter`` (None until it is constructed), and what it was told."""

    adapter: Adapter | None
    stop_requested: bool
    start_interrupted: bool
    stop_abandoned: bool


class Outstanding(NamedTuple):
    """What :meth:`ProviderManager.outstanding` returns.

    ``requests``: the tickets of the calls of ``get_adapter`` that wait for an answer. ``streams``: the tickets of the leases whose
    streams have not ended, released or not. ``instances``: the task of each instance, by the instance's id.
    """

    requests: frozenset[int]
    streams: frozenset[int]
    instances: Mapping[int, InstanceTask]
