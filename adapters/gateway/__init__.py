"""The gateway: one process on loopback that lets every request of every agent through the provider manager.

Read ``gateway``, ``passage`` and ``app``, in this order. Needs the extra ``gateway``.
"""

from __future__ import annotations

__all__: list[str] = []
