"""The journal: every event that a coordinator was told and every effect that it returned, as JSON lines; and its verification.

A journal is a proof that can be checked: :func:`.verify.verify` replays it through ``Coordinator.step`` and evaluates every ``always``
property. It holds no text, no option and no credential: configurations are told apart by a digest.
"""

from __future__ import annotations

__all__: list[str] = []
