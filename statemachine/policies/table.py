"""The policies that have a name: each import is a row, named as its file, which says the rest in ``POLICY``."""

from __future__ import annotations

from . import affinity as affinity
from . import cost_aware as cost_aware
from . import fair as fair
from . import fifo as fifo
from . import gated as gated
