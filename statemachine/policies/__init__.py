"""Policies: which waiting request is served next. Each states how often a request may be overtaken, and the checker proves it.

A *turn* is a run of requests for one model that are served one after the other. Under first come, first served, requests that alternate
between two models make turns of one request, and each costs a switch. Longer turns cost fewer switches. A bound keeps them from starving
the other requests.
"""

from __future__ import annotations

from .affinity import Affinity
from .cost_aware import CostAware
from .fair import Fair
from .fifo import Fifo
from .gated import Gated
from .line import Line
from .policy import BasePolicy, Bound, Choice, Pause, Policy, PolicyFactory, Rank, Waiter
from .prioritised import Prioritised

__all__ = [
    "Affinity",
    "BasePolicy",
    "Bound",
    "Choice",
    "CostAware",
    "Fair",
    "Fifo",
    "Gated",
    "Line",
    "Pause",
    "Policy",
    "PolicyFactory",
    "Prioritised",
    "Rank",
    "Waiter",
]
