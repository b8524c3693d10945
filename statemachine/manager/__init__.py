"""The trio driver: it tells the coordinator what happens, and carries out what the coordinator answers.

``manager`` drives, one ``worker`` runs each adapter, ``lease`` is what a user holds, ``reading`` reads a stream under it, and ``engine``
puts calls together. ``at_work`` tells ordinary calls from those of signal handlers, ``expected`` and ``faults`` say what an adapter
may return and raise. The bridge (``asyncio_side``, ``sync_side``) serves programs that do not run on trio.
"""

from __future__ import annotations

__all__: list[str] = []
